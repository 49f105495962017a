"""The first screen: may I adopt this pattern, and under which settings? Answers by variant, and the matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from harness.report import words
from harness.report.model import (
    Answer,
    AnswerWord,
    CellReport,
    CellState,
    Mark,
    MatrixCell,
    MatrixRow,
    ScenarioReport,
)
from harness.result import CellResult, DeclaredCell, Evidence, ScenarioText

NO_FAULT = "none"
WHERE_SETTINGS = 3
"""Settings that a clause of an answer names."""
UNKNOWN_CELLS = 2
"""Unknown cells that it names with their reasons."""
WEAK_OK = 500
WEAK_DURING_FAULTS = 100
WEAK_STRIKES = 2
"""Below these, the evidence behind a ``holds`` is shown as weak. What suffices for it at all was decided before."""


def state_of(result: CellResult) -> CellState:
    """Return how a cell is shown: its verdict, or that it does not apply."""
    return "not-applicable" if result.not_applicable and result.status != "violated" else result.status


def mark_of(result: CellResult) -> Mark:
    """Return whether a cell came out as declared. A violation that nobody declared counts as a surprise."""
    if result.surprise or (result.status == "violated" and not result.expected):
        return "surprise"
    return "expected" if result.expected else "undeclared"


def is_weak(result: CellResult) -> bool:
    """Whether little stands behind a ``holds``."""
    evidence = result.evidence
    if result.status != "holds":
        return False
    if evidence.ok < WEAK_OK:
        return True
    faulty = result.cell.fault != NO_FAULT
    return faulty and (evidence.during_faults < WEAK_DURING_FAULTS or evidence.effective_strikes < WEAK_STRIKES)


def backing_of(result: CellResult) -> str:
    """Return what stands behind the verdict of a cell, in a few words."""
    state = state_of(result)
    if state == "violated":
        return f"{kinds_of([result])} in {result.violated_runs} of {trials_of(result)}"
    if state == "holds":
        strikes = words.count_of(result.evidence.effective_strikes, "strike") if result.cell.fault != NO_FAULT else ""
        # Where either verdict is green, the rate is what a reader wants to know.
        rate = f"violated in 0 of {trials_of(result)}" if result.expected == "may-violate" else ""
        searched = f"every run of {result.searched}" if result.searched else ""
        return " · ".join(part for part in (searched, f"{result.evidence.ok:,} ok", strikes, rate) if part)
    reasons = [words.sentence(reason, 110) for reason in result.reasons]
    return reasons[0].removeprefix("not applicable: ") if reasons else "no reason was recorded"


def trials_of(result: CellResult) -> str:
    """Return how often a cell was tried: ``200 seeds`` in the simulator, ``3 runs`` on real servers."""
    return words.count_of(result.seeds, "seed") if result.seeds else words.count_of(len(result.runs), "run")


def kinds_of(results: Sequence[CellResult]) -> str:
    """Return the kinds of anomalies of these cells, most frequent first: ``lost write (89)``."""
    counts: Counter[str] = Counter()
    for result in results:
        counts.update(result.anomalies)
    return words.listed([f"{words.kind_words(kind)} ({count:,})" for kind, count in counts.most_common()], limit=3)


def scenario_report(name: str, backend: str, cells: Sequence[CellReport], text: ScenarioText | None) -> ScenarioReport:
    """Return what the first screen says of a scenario on one backend."""
    declared = text.matrix if text else ()
    variants = _ordered([*(text.variants if text else ()), *(c.result.cell.variant for c in cells)], cells, _variant)
    faults = _ordered([*(d.fault for d in declared), *(c.result.cell.fault for c in cells)], cells, _fault)
    answers = tuple(_answer(variant, [c for c in cells if _variant(c) == variant], text) for variant in variants)
    evidence = Evidence()
    for cell in cells:
        evidence = evidence.plus(cell.result.evidence)
    return ScenarioReport(
        anchor=words.slug("scenario", name, backend),
        name=name,
        backend=backend,
        text=text,
        headline=_headline(answers),
        answers=answers,
        faults=tuple(faults),
        rows=tuple(_rows(cells, variants, faults, declared)),
        evidence=evidence,
        runs=sum(cell.result.seeds or len(cell.result.runs) for cell in cells),
    )


def _severity(cell: CellReport) -> int:
    return ("not-run", "not-applicable", "holds", "unknown", "violated").index(cell.state)


def _variant(cell: CellReport) -> str:
    return cell.result.cell.variant


def _fault(cell: CellReport) -> str:
    return cell.result.cell.fault


def _setting(cell: CellReport) -> str:
    return cell.result.cell.setting


def _ordered(names: Sequence[str], cells: Sequence[CellReport], of: Callable[[CellReport], str]) -> list[str]:
    seen = {of(cell) for cell in cells}
    return [name for name in dict.fromkeys(names) if name in seen]


def _rows(
    cells: Sequence[CellReport], variants: Sequence[str], faults: Sequence[str], declared: Sequence[DeclaredCell]
) -> list[MatrixRow]:
    # A cell that was judged twice shows its worse verdict.
    by_place = {(_variant(c), _setting(c), _fault(c)): c for c in sorted(cells, key=_severity)}
    promised = {(d.variant, d.setting, d.fault): d for d in declared}
    rows = []
    for variant in variants:
        settings = _ordered(
            [*(d.setting for d in declared), *(_setting(c) for c in cells)],
            [c for c in cells if _variant(c) == variant],
            _setting,
        )
        for setting in settings:
            places = [(variant, setting, fault) for fault in faults]
            row = tuple(_matrix_cell(by_place.get(place), promised.get(place)) for place in places)
            rows.append(MatrixRow(variant=variant, setting=setting, cells=row))
    return rows


def _matrix_cell(cell: CellReport | None, declared: DeclaredCell | None) -> MatrixCell:
    if cell is not None:
        return MatrixCell(state=cell.state, cell=cell, note=cell.backing)
    if declared is None:
        return MatrixCell(state="not-run", note="not declared")
    if declared.expected == "not-applicable":
        return MatrixCell(state="not-applicable", note=words.sentence(declared.why, 110) or "declared not applicable")
    return MatrixCell(state="not-run", note=f"expected: {declared.expected}" if declared.expected else "")


def _answer(variant: str, cells: Sequence[CellReport], text: ScenarioText | None) -> Answer:
    by_state: Mapping[CellState, list[CellReport]] = {
        state: [cell for cell in cells if cell.state == state] for state in ("violated", "holds", "unknown")
    }
    word, headline = _judge(variant, cells)
    return Answer(
        variant=variant,
        about=words.sentence(text.variants.get(variant, "")) if text else "",
        word=word,
        headline=headline,
        broken=_broken_clause(by_state["violated"]),
        sound=_sound_clause(by_state["holds"]),
        unknown=_unknown_clause(by_state["unknown"]),
        advice=words.sentence(text.advice.get(variant, "")) if text else "",
    )


def _judge(variant: str, cells: Sequence[CellReport]) -> tuple[AnswerWord, str]:
    """Return the answer on one variant.

    A setting is sound where all that was judged under it holds, and where the faults that broke the variant under
    other settings were tried under it too: what was not struck was not shown to withstand. A run with any fault has
    calm stretches as well, so it stands for one without faults.
    """
    name = words.sentence(variant, 60)
    breaking = {_fault(cell) for cell in cells if cell.state == "violated"}
    sound = [setting for setting in dict.fromkeys(map(_setting, cells)) if _is_sound(cells, setting, breaking)]
    under = words.listed([words.sentence(setting, 80) for setting in sound], limit=WHERE_SETTINGS)
    if breaking and not sound:
        broken = [cell for cell in cells if cell.state == "violated"]
        left = {_setting(c) for c in cells if c.state in {"holds", "unknown"}} - set(map(_setting, broken))
        rest = "; under other settings it is not known" if left else ""
        return "no", f"do not adopt {name} under {_settings_of(broken)}{rest}"
    if breaking:
        return "partly", f"adopt {name} only under {under}"
    if not sound:
        return "unknown", f"{name} is not known yet"
    if not any(cell.state == "holds" and _fault(cell) != NO_FAULT for cell in cells):
        return "partly", f"{name} holds without faults, under {under}; no fault was tried"
    if any(cell.state == "unknown" for cell in cells):
        return "partly", f"adopt {name} under {under}, where every verdict is known"
    return "yes", f"adopt {name}, judged under {under}"


def _is_sound(cells: Sequence[CellReport], setting: str, breaking: set[str]) -> bool:
    under = [cell for cell in cells if _setting(cell) == setting and cell.state != "not-applicable"]
    held = {_fault(cell) for cell in under if cell.state == "holds"}
    return bool(under) and all(cell.state == "holds" for cell in under) and breaking - {NO_FAULT} <= held


def _settings_of(cells: Sequence[CellReport]) -> str:
    settings = [words.sentence(setting, 80) for setting in dict.fromkeys(map(_setting, cells))]
    return words.listed(settings, limit=WHERE_SETTINGS)


def _headline(answers: Sequence[Answer]) -> str:
    text = "; ".join(answer.headline for answer in answers)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _where(cells: Sequence[CellReport]) -> str:
    """Return the settings and faults of these cells: ``under w=1 with kill-primary and without faults``."""
    groups: dict[str, list[str]] = {}
    for cell in cells:
        groups.setdefault(_setting(cell), []).append(words.fault_words(words.sentence(_fault(cell), 80)))
    parts = [f"under {words.sentence(setting, 80)} {words.listed(faults)}" for setting, faults in groups.items()]
    more = len(parts) - WHERE_SETTINGS
    beyond = [f"under {words.count_of(more, 'more setting')}"] if more > 0 else []
    return "; ".join([*parts[:WHERE_SETTINGS], *beyond])


def _broken_clause(cells: Sequence[CellReport]) -> str:
    if not cells:
        return ""
    return f"{_where(cells)}: {kinds_of([cell.result for cell in cells])}"


def _sound_clause(cells: Sequence[CellReport]) -> str:
    if not cells:
        return ""
    evidence = Evidence()
    for cell in cells:
        evidence = evidence.plus(cell.result.evidence)
    behind = [f"{evidence.ok:,} operations ok"]
    if evidence.strikes:
        behind.append(f"{evidence.during_faults:,} during faults")
        behind.append(words.count_of(evidence.effective_strikes, "effective strike"))
    weak = "; weak evidence" if any(cell.weak for cell in cells) else ""
    return f"{_where(cells)} ({', '.join(behind)}{weak})"


def _unknown_clause(cells: Sequence[CellReport]) -> str:
    parts = [f"{_where([cell])}: {cell.backing}" for cell in cells[:UNKNOWN_CELLS]]
    more = len(cells) - UNKNOWN_CELLS
    return "; ".join([*parts, *([words.count_of(more, "more cell")] if more > 0 else [])])
