"""Versions of an entity: 1..n without duplicate or gap, one of them active, each linked to the one before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.checkers import story
from harness.checkers.findings import Findings, final_checker
from harness.checkers.frozen import freeze
from harness.history import History
from harness.interfaces.checker import Checker
from harness.operation import Operation
from harness.verdict import Verdict

Document = Mapping[str, Any]

_LISTED = 5
_DETAILED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    entity: Callable[[Document], Hashable]
    version: Callable[[Document], int]
    identity: Callable[[Document], Hashable]
    active: Callable[[Document], bool] | None
    predecessor: Callable[[Document], Hashable] | None
    content: Callable[[Document], Any] | None
    first: int


def versions(
    *,
    documents: Callable[[Mapping[str, Any]], Iterable[Document]],
    needs_final: tuple[str, ...] = (),
    entity: Callable[[Document], Hashable] = lambda document: document["entityId"],
    version: Callable[[Document], int] = lambda document: document["version"],
    identity: Callable[[Document], Hashable] = lambda document: document["_id"],
    active: Callable[[Document], bool] | None = None,
    predecessor: Callable[[Document], Hashable] | None = None,
    content: Callable[[Document], Any] | None = None,
    wrote: Callable[[Operation], Hashable | None] = lambda _: None,
    snapshot: Callable[[Operation], Iterable[Document] | None] = lambda _: None,
    first: int = 1,
    name: str = "versions",
    guarantee: str = "Per entity the versions are 1..n, each once and linked to the one before, one of them active.",
) -> Checker:
    """Return the checker for the stored versions of entities.

    ``documents(final)`` gives all documents at the end; ``entity``, ``version`` and ``identity`` read one of them.
    ``active``, ``predecessor`` (the identity of the version before; not asked of version ``first``) and ``content``
    (what must never change) are judged only where given. ``wrote(operation)`` gives the identity of the document that
    an operation created, so that the findings can name it. ``snapshot(operation)`` gives all documents of the entities
    that it saw, where the operation was a read of one point in time (None: it was not); each must keep the rules too.

    Anomalies: ``forked-history``, ``version-gap``, ``no-active-version``, ``several-active-versions``,
    ``broken-link``, ``changed-version``. ``unknown`` where there is no document at all.

    Example::

        versions(
            documents=lambda final: final["documents"],
            needs_final=("documents",),
            active=lambda document: document["isActive"],
            predecessor=lambda document: document.get("previousVersion"),
            content=lambda document: document["data"],
            wrote=lambda operation: operation.result["_id"] if operation.status == "ok" else None,
        )
    """
    rules = _Rules(
        entity=entity,
        version=version,
        identity=identity,
        active=active,
        predecessor=predecessor,
        content=content,
        first=first,
    )

    def check(history: History) -> Verdict:
        findings = Findings(history, guarantee)
        authors = _authors(history, wrote)
        final = list(documents(history.final))
        for key, group in _grouped(final, rules).items():
            _judge(_Reading(entity=key, documents=group, reader=None, rules=rules, authors=authors, findings=findings))
        seen = _judge_snapshots(snapshot, rules, authors, findings)
        if content is not None:
            _find_changes([(None, final), *seen], rules, findings)
        return findings.conclude(
            name,
            operations=len(authors) + len(seen),
            unknown="" if final else "no document is there at the end: there is nothing to judge",
            certificate={"documents": len(final), "entities": len(_grouped(final, rules)), "snapshots": len(seen)},
        )

    return final_checker(name=name, guarantee=guarantee, needs_final=needs_final, check=check)


def _authors(history: History, wrote: Callable[[Operation], Hashable | None]) -> dict[Hashable, Operation]:
    authors: dict[Hashable, Operation] = {}
    for operation in history.operations:
        identity = freeze(wrote(operation))
        if identity is not None:
            authors.setdefault(identity, operation)
    return authors


def _grouped(documents: Iterable[Document], rules: _Rules) -> dict[Hashable, list[Document]]:
    groups: defaultdict[Hashable, list[Document]] = defaultdict(list)
    for document in documents:
        groups[freeze(rules.entity(document))].append(document)
    return dict(groups)


def _judge_snapshots(
    snapshot: Callable[[Operation], Iterable[Document] | None],
    rules: _Rules,
    authors: Mapping[Hashable, Operation],
    findings: Findings,
) -> list[tuple[Operation | None, list[Document]]]:
    seen: list[tuple[Operation | None, list[Document]]] = []
    for operation in findings.history.operations:
        documents = snapshot(operation) if operation.status == "ok" else None
        if documents is None:
            continue
        listed = list(documents)
        seen.append((operation, listed))
        for key, group in _grouped(listed, rules).items():
            _judge(
                _Reading(entity=key, documents=group, reader=operation, rules=rules, authors=authors, findings=findings)
            )
    return seen


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One entity as it was read by ``reader``, or (None) at the end."""

    entity: Hashable
    documents: Sequence[Document]
    reader: Operation | None
    rules: _Rules
    authors: Mapping[Hashable, Operation]
    findings: Findings

    def note(self, kind: str, sentence: str, blamed: Iterable[Document] = (), **details: Any) -> None:
        identities = (freeze(self.rules.identity(document)) for document in blamed)
        writers = [self.authors[identity] for identity in identities if identity in self.authors]

        def tell() -> tuple[str, ...]:
            place = "At the end" if self.reader is None else f"In the snapshot that operation {self.reader.index} read"
            name = f"entity {story.short(self.entity)}"
            ends = (story.ended(self.findings.history, operation) for operation in writers)
            return (f"{place} {name} {sentence}", *ends)

        readers = [self.reader] if self.reader else []
        self.findings.add(kind, tell, [*writers, *readers], entity=self.entity, **details)


def _judge(reading: _Reading) -> None:
    rules = reading.rules
    by_version: defaultdict[int, list[Document]] = defaultdict(list)
    for document in reading.documents:
        by_version[rules.version(document)].append(document)
    for number, same in sorted(by_version.items()):
        if len(same) > 1:
            reading.note("forked-history", f"has {len(same)} documents of version {number}.", same, version=number)
    missing = _missing(by_version, rules.first)
    if missing:
        text = ", ".join(map(str, missing[:_LISTED])) + (", ..." if missing[_LISTED:] else "")
        reading.note(
            "version-gap", f"goes up to version {max(by_version)} and lacks {text}.", missing=missing[:_DETAILED]
        )
    if min(by_version) < rules.first:
        reading.note("version-gap", f"has a version {min(by_version)}; versions begin at {rules.first}.")
    if rules.active is not None:
        _judge_active(reading, [document for document in reading.documents if rules.active(document)])
    for document in _unlinked(reading.documents, by_version, rules):
        number = rules.version(document)
        sentence = f"has a version {number} that does not name a version {number - 1} as its predecessor."
        reading.note("broken-link", sentence, (document,), version=number)


def _judge_active(reading: _Reading, active: Sequence[Document]) -> None:
    if not active:
        reading.note("no-active-version", f"has {len(reading.documents)} versions, none of them active.")
    if len(active) > 1:
        numbers = sorted(reading.rules.version(document) for document in active)
        reading.note("several-active-versions", f"has {len(active)} active versions: {numbers}.", active)


def _missing(present: Mapping[int, Any], first: int) -> list[int]:
    """Return the first versions that are lacking up to the greatest one present."""
    expected = first
    missing: list[int] = []
    for number in sorted(present):
        missing.extend(range(expected, min(number, expected + _LISTED + 1)))
        expected = max(expected, number + 1)
    return missing


def _unlinked(
    group: Iterable[Document], by_version: Mapping[int, Sequence[Document]], rules: _Rules
) -> Iterable[Document]:
    if rules.predecessor is None:
        return
    for document in group:
        number = rules.version(document)
        before = {freeze(rules.identity(other)) for other in by_version.get(number - 1, ())}
        if number > rules.first and before and freeze(rules.predecessor(document)) not in before:
            yield document


def _find_changes(
    readings: Iterable[tuple[Operation | None, Iterable[Document]]], rules: _Rules, findings: Findings
) -> None:
    """Compare every reading of a document's content with the first one."""
    content = rules.content
    assert content is not None
    known: dict[Hashable, tuple[Any, Operation | None]] = {}
    for reader, documents in readings:
        for document in documents:
            identity, value = freeze(rules.identity(document)), freeze(content(document))
            before, earlier = known.setdefault(identity, (value, reader))
            if before == value:
                continue
            evidence = [operation for operation in (earlier, reader) if operation is not None]
            other = "at the end" if earlier is None else f"by operation {earlier.index}"
            sentences = (
                f"Document {story.short(identity)} was read as {story.short(value)}.",
                f"It was read {other} as {story.short(before)}, and nothing of that may ever change.",
                *(story.interval(operation) + "." for operation in evidence),
            )
            findings.add("changed-version", sentences, evidence, document=identity)
