"""What the oplog says of operations of unknown outcome: by session and number alone, and held against the truth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.checkers import Step, linearizable, register
from harness.checkers.resolution import resolve, took_effect
from harness.history import History
from harness.operation import Attempt, DatabaseCall, Operation
from harness.oplog import Oplog, SurvivingWrite
from harness.run.judge import judge_run
from harness.run.simulated.cell import SimulatedCell
from harness.run.simulated.seeds import SeedRunner
from harness.scenario.load import load_scenario


def attempt(command: str = "update", number: int | None = 1, session: str = "aa", **request: Any) -> Attempt:
    numbered = {} if number is None else {"lsid": session, "txnNumber": number}
    return Attempt(command=command, request={command: "c", **numbered, **request}, server="m1", start_ns=0)


def operation(index: int, *attempts: Attempt, status: str = "info", **fields: Any) -> Operation:
    call = DatabaseCall(name="c.update_one", start_ns=0, attempts=attempts)
    defaults: dict[str, Any] = {
        "process": index,
        "client": index,
        "function": "put",
        "start_ns": 10 * index,
        "returned_ns": 10 * index + 5,
        "outcome": "returned" if status == "ok" else "raised",
    }
    return Operation(index=index, status=status, calls=(call,), **{**defaults, **fields})


def history(*operations: Operation, oplog: Oplog | None) -> History:
    return History(operations=operations, oplog=oplog)


def written(*writes: SurvivingWrite, covers_run: bool = True) -> Oplog:
    return Oplog(writes=writes, covers_run=covers_run)


ONE = SurvivingWrite(session="aa", number=1, statements=(0,))


def fates(*operations: Operation, oplog: Oplog | None) -> list[str]:
    return [resolved.fate for resolved in resolve(history(*operations, oplog=oplog))]


def test_a_write_that_the_oplog_has_survived():
    """Session and number match an entry: survived. Another number or another session does not match."""
    assert fates(operation(0, attempt()), oplog=written(ONE)) == ["survived"]
    assert fates(operation(0, attempt(number=2)), oplog=written(ONE)) == ["gone"]
    assert fates(operation(0, attempt(session="bb")), oplog=written(ONE)) == ["gone"]


def test_absence_proves_nothing_where_the_oplog_begins_later():
    """An oplog that does not go back to the beginning of the run, or was not read, leaves the question open."""
    assert fates(operation(0, attempt()), oplog=written(covers_run=False)) == ["open"]
    assert fates(operation(0, attempt()), oplog=None) == ["open"]


def test_a_write_without_a_number_is_never_matched():
    """An update of many documents carries no number: nothing is said of it, even where values would fit."""
    assert fates(operation(0, attempt(number=None)), oplog=written(ONE)) == ["open"]
    assert fates(operation(0, attempt(), attempt(number=None)), oplog=written(ONE)) == ["open"]


def test_a_batch_survives_with_all_its_statements():
    """Of an insert of three documents two statements in the oplog are a part."""
    batch = attempt("insert", documents=[{}, {}, {}])
    two = SurvivingWrite(session="aa", number=1, statements=(0, 1))
    three = SurvivingWrite(session="aa", number=1, statements=(0, 1, 2))
    assert fates(operation(0, batch), oplog=written(two)) == ["partly"]
    assert fates(operation(0, batch), oplog=written(three)) == ["survived"]


def test_a_bulk_write_survives_with_all_its_operations():
    """The operations of one bulkWrite command are statements too: the first of two in the oplog is a part."""
    bulk = attempt("bulkWrite", ops=[{"insert": 0, "document": {}}, {"insert": 0, "document": {}}])
    two = SurvivingWrite(session="aa", number=1, statements=(0, 1))
    assert fates(operation(0, bulk), oplog=written(ONE)) == ["partly"]
    assert fates(operation(0, bulk), oplog=written(two)) == ["survived"]


def test_reads_beside_a_write_change_nothing():
    """What cannot change data, as a find or a plain aggregation, is no write without a number; ``$out`` is one."""
    reads = [attempt(name, number=None) for name in ("find", "listCollections")]
    plain = attempt("aggregate", number=None, pipeline=[{"$match": {}}])
    writing = attempt("aggregate", number=None, pipeline=[{"$match": {}}, {"$out": "d"}])
    assert fates(operation(0, *reads, plain, attempt()), oplog=written(ONE)) == ["survived"]
    assert fates(operation(0, writing, attempt()), oplog=written(ONE)) == ["open"]


def test_a_transaction_counts_where_its_commit_was_sent():
    """A transaction survives as a whole; one whose commit was never sent is no write."""
    inside = attempt(autocommit=False, startTransaction=True)
    commit = attempt("commitTransaction", autocommit=False)
    committed = SurvivingWrite(session="aa", number=1, transaction=True)
    assert fates(operation(0, inside, commit), oplog=written(committed)) == ["survived"]
    assert fates(operation(0, inside, commit), oplog=written(ONE)) == ["partly"]
    assert fates(operation(0, inside), oplog=written()) == ["open"]


def test_an_operation_that_may_have_had_more_to_write_is_not_taken_for_done():
    """Where completed operations of the function make two writes, a surviving first one proves no whole effect."""
    done = operation(1, attempt(number=5), attempt(number=6), status="ok")
    single = operation(1, attempt(number=5), status="ok")
    assert took_effect(history(operation(0, attempt()), done, oplog=written(ONE))) == {}
    assert took_effect(history(operation(0, attempt()), single, oplog=written(ONE))) == {
        0: "in the oplog: session aa, number 1"
    }
    assert took_effect(history(operation(0, attempt()), oplog=written(ONE))) == {}


def steps(each: Operation) -> Step:
    return Step(each.arguments["kind"], each.arguments.get("value"), each.result)


def put(index: int, value: int, status: str, number: int) -> Operation:
    return operation(index, attempt(number=number), status=status, arguments={"kind": "write", "value": value})


def read(index: int, result: int | None) -> Operation:
    return operation(index, status="ok", function="get", arguments={"kind": "read"}, result=result)


def test_a_surviving_write_must_have_a_place_in_the_order():
    """A write in the oplog is part of the order that is found, and the verdict says how that is known."""
    runs = history(put(0, 7, "info", 1), put(1, 8, "ok", 2), read(2, 8), oplog=written(ONE))
    verdict = linearizable(register(), step=steps).check(runs)
    assert verdict.status == "holds"
    assert verdict.certificate is not None
    assert sorted(verdict.certificate["orders"][0]["order"]) == [0, 1, 2]
    assert verdict.certificate["resolved"] == {"0": "in the oplog: session aa, number 1"}
    untold = linearizable(register(), step=steps).check(replace(runs, oplog=None))
    assert untold.status == "holds"
    assert untold.certificate is not None
    assert "resolved" not in untold.certificate


CELLS = (
    ("write_concern", "hardened", "w=majority,journalDefault=false", ("pause-primary",)),
    ("write_concern", "published", "w=3,j=true,wtimeoutMS=10000", ("pause-primary",)),
    ("find_and_modify", "published", "default", ("lost-reply",)),
    ("lww_register", "published", "clockSkewMS=500", ("kill-primary",)),
    ("optimistic_lock", "hardened", "default", ("partition-primary",)),
)
SEEDS = 40


def simulated(cell: tuple[str, str, str, tuple[str, ...]], seeds: int = SEEDS) -> list[tuple[Any, History]]:
    scenario, variant, setting, faults = cell
    loaded = load_scenario(scenario)
    runner = SeedRunner(
        cell=SimulatedCell(loaded=loaded, variant=variant, setting=setting, faults=faults, operations=15)
    )
    return [(loaded.scenario, runner.judge(seed).run.history) for seed in range(seeds)]


@pytest.mark.slow
def test_what_is_said_of_inserts_is_what_is_there_at_the_end():
    """In the simulator a document is in the final read if its insert survived, and is not there if it is gone."""
    seen = set()
    for cell in CELLS[:2]:
        for _, run in simulated(cell, 4 * SEEDS):
            for resolved in resolve(run):
                done = run.operation(resolved.operation)
                if done.function == "insert" and resolved.fate in {"survived", "gone"}:
                    there = done.arguments["token"] in run.final["documents"]
                    assert there == (resolved.fate == "survived"), (cell, resolved)
                    seen.add(resolved.fate)
    assert seen == {"survived", "gone"}


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_evidence_takes_no_violation_back(cell):
    """A history that is violated without the oplog is violated with it."""
    resolved = 0
    for scenario, run in simulated(cell):
        without = judge_run(replace(run, oplog=None), scenario)
        if without.status == "violated":
            assert judge_run(run, scenario).status == "violated"
        resolved += sum(each.fate != "open" for each in resolve(run))
    assert resolved
