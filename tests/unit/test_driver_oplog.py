"""Entries of ``local.oplog.rs``: which of them are writes that survived."""

from __future__ import annotations

from typing import Any

from bson import Binary

from harness.backends.driver.oplog import surviving_writes
from harness.oplog import SurvivingWrite

SESSION = bytes(range(16))
LSID = {"id": Binary(SESSION, 4), "uid": Binary(b"u" * 32)}


def entry(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {"lsid": LSID, "txnNumber": number, "op": "i", **fields}


def test_statements_of_one_command_are_taken_together():
    """Each document of a retryable insert is an entry of its own, under one number."""
    found = surviving_writes([entry(stmtId=1), entry(stmtId=0), entry(2, stmtId=0)])
    assert found == (
        SurvivingWrite(session=SESSION.hex(), number=1, statements=(0, 1)),
        SurvivingWrite(session=SESSION.hex(), number=2, statements=(0,)),
    )


def test_one_entry_may_stand_for_several_statements():
    """Newer servers write a batch as one ``applyOps`` with a statement id in each part, or a list of ids."""
    batch = entry(op="c", o={"applyOps": [{"stmtId": 0}, {"stmtId": [1, 2]}]})
    assert surviving_writes([batch])[0].statements == (0, 1, 2)
    assert not surviving_writes([batch])[0].transaction


def test_a_transaction_counts_with_its_last_part_alone():
    """A transaction is one ``applyOps`` without statement ids; parts of a large one are nothing without the last."""
    part = entry(op="c", o={"applyOps": [{}], "partialTxn": True})
    last = entry(op="c", o={"applyOps": [{}]})
    assert surviving_writes([part]) == ()
    assert surviving_writes([part, last]) == (SurvivingWrite(session=SESSION.hex(), number=1, transaction=True),)
