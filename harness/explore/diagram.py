"""A message diagram of a small run: clients and members, what went between them and when, faults as bands.

Plain records, from which a page can be drawn, and a rendering as text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from harness.explore.conflicts import documents_of
from harness.history import History
from harness.operation import Attempt, Operation

ArrowKind = Literal["request", "reply", "error", "lost"]

_LANE: Final = 26
_TIME: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A vertical line."""

    name: str
    kind: Literal["client", "member"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """A message. A ``lost`` one never arrived, as far as the record tells."""

    source: str
    target: str
    time_us: int
    label: str
    kind: ArrowKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something at one participant at a time: an operation begins or ends, a member becomes primary."""

    participant: str
    time_us: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A fault, from its injection to its healing; ``end_us`` is None where it was not healed."""

    label: str
    participants: tuple[str, ...]
    start_us: int
    end_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """The whole picture; arrows and marks are in order of time."""

    participants: tuple[Participant, ...]
    arrows: tuple[Arrow, ...]
    marks: tuple[Mark, ...]
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the picture: a message, a mark, the beginning of a fault, or with ``ends`` its end."""

    time_us: int
    shows: Arrow | Mark | Band
    ends: bool = False


def diagram_of(history: History) -> Diagram:
    """Return the message diagram of a history."""
    clients = sorted({operation.client for operation in history.operations})
    servers = {attempt.server for operation in history.operations for attempt in operation.attempts}
    servers |= {change.member for change in history.primary_changes if change.member is not None}
    arrows = [arrow for operation in history.operations for arrow in _arrows(operation)]
    marks = [mark for operation in history.operations for mark in _marks(operation)]
    marks += [
        Mark(participant=change.member, time_us=change.time_ns // 1000, label="is primary")
        for change in history.primary_changes
        if change.member is not None
    ]
    participants = [Participant(name=client_name(client), kind="client") for client in clients]
    participants += [Participant(name=server, kind="member") for server in sorted(servers)]
    return Diagram(
        participants=tuple(participants),
        arrows=tuple(sorted(arrows, key=lambda arrow: arrow.time_us)),
        marks=tuple(sorted(marks, key=lambda mark: mark.time_us)),
        bands=tuple(
            Band(
                label=window.fault,
                participants=tuple(name for name in sorted(servers) if _struck(name, window.targets)),
                start_us=window.start_ns // 1000,
                end_us=None if window.end_ns is None else window.end_ns // 1000,
            )
            for window in history.fault_windows
        ),
    )


def client_name(client: int) -> str:
    """Return the name of a client in words and pictures."""
    return f"client {client}"


def _struck(member: str, targets: tuple[str, ...]) -> bool:
    return any(member in target.replace("→", " ").replace(",", " ").split() for target in targets)


def _arrows(operation: Operation) -> Iterator[Arrow]:
    client = client_name(operation.client)
    for attempt in operation.attempts:
        documents = ", ".join(filter(None, documents_of(attempt)))
        label = f"{attempt.command} {documents}".strip()
        request: ArrowKind = "lost" if attempt.end_ns is None and attempt.failure is None else "request"
        start_us = attempt.start_ns // 1000
        yield Arrow(source=client, target=attempt.server, time_us=start_us, label=label, kind=request)
        if attempt.end_ns is not None:
            kind, answer = _answer(attempt)
            time_us = attempt.end_ns // 1000
            yield Arrow(source=attempt.server, target=client, time_us=time_us, label=answer, kind=kind)


def _answer(attempt: Attempt) -> tuple[ArrowKind, str]:
    failure = attempt.failure
    if failure is None:
        counted = (attempt.reply or {}).get("n")
        return "reply", "ok" if counted is None else f"ok, n {counted}"
    if not failure.answered:
        return "lost", "no answer"
    return "error", f"error {failure.code}" if failure.code is not None else "error"


def _marks(operation: Operation) -> Iterator[Mark]:
    name = client_name(operation.client)
    yield Mark(participant=name, time_us=operation.start_ns // 1000, label=f"{operation.function} begins")
    if operation.returned_ns is not None:
        ending = f"{operation.function} {operation.outcome}"
        yield Mark(participant=name, time_us=operation.returned_ns // 1000, label=ending)


def rows_of(diagram: Diagram) -> tuple[Row, ...]:
    """Return what the picture shows from top to bottom.

    At one time answers come first, then what happens at a participant, then requests.
    """
    clients = frozenset(participant.name for participant in diagram.participants if participant.kind == "client")
    rows = [(1, Row(time_us=mark.time_us, shows=mark)) for mark in diagram.marks]
    rows += [(2 if arrow.source in clients else 0, Row(time_us=arrow.time_us, shows=arrow)) for arrow in diagram.arrows]
    for band in diagram.bands:
        rows.append((1, Row(time_us=band.start_us, shows=band)))
        if band.end_us is not None:
            rows.append((1, Row(time_us=band.end_us, shows=band, ends=True)))
    return tuple(row for _, row in sorted(rows, key=lambda item: (item[1].time_us, item[0])))


def render_diagram(diagram: Diagram) -> str:
    """Return the diagram as text, a line for each message and mark, time in milliseconds on the left."""
    names = [participant.name for participant in diagram.participants]
    places = {name: number * _LANE + _LANE // 2 for number, name in enumerate(names)}
    head = " " * _TIME + "".join(name.center(_LANE) for name in names).rstrip()
    lines = [f"{row.time_us / 1000:>9.3f}   {_line(row, places)}".rstrip() for row in rows_of(diagram)]
    return "\n".join([head, *lines])


def _line(row: Row, places: dict[str, int]) -> str:
    match row.shows:
        case Arrow():
            return _arrow_line(row.shows, places)
        case Mark():
            return _mark_line(row.shows, places)
        case Band():
            return f"=== {band_words(row.shows, ends=row.ends)} ".ljust(len(places) * _LANE, "=")


def band_words(band: Band, *, ends: bool) -> str:
    """Return in words that a fault begins, and where, or that it is healed."""
    where = f" at {', '.join(band.participants)}" if band.participants else ""
    return f"{band.label} is healed" if ends else f"{band.label} begins{where}"


def _lanes(places: dict[str, int]) -> list[str]:
    line = [" "] * (len(places) * _LANE)
    for place in places.values():
        line[place] = "|"
    return line


def _mark_line(mark: Mark, places: dict[str, int]) -> str:
    line = _lanes(places)
    start = places[mark.participant]
    line[start] = "*"
    text = f" {mark.label}"[: max(0, len(line) - start - 1)]
    line[start + 1 : start + 1 + len(text)] = text
    return "".join(line)


def _arrow_line(arrow: Arrow, places: dict[str, int]) -> str:
    line = _lanes(places)
    source, target = places[arrow.source], places[arrow.target]
    left, right = min(source, target), max(source, target)
    line[left + 1 : right] = "-" * (right - left - 1)
    head = "x" if arrow.kind == "lost" else (">" if target > source else "<")
    line[right - 1 if target > source else left + 1] = head
    label = f" {arrow.label} "[: max(0, right - left - 5)]
    start = left + (right - left - len(label)) // 2
    line[start : start + len(label)] = label
    return "".join(line)
