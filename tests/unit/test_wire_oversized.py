"""Documents beyond 16 MiB: their writes are refused, the others go on as mongod lets them."""

from __future__ import annotations

import pytest

from harness.wire.documents import DOCUMENT_BYTES_MAX
from harness.wire.oversized import answer

LARGE = {"_id": "large", "x": "a" * DOCUMENT_BYTES_MAX}
SMALL = [{"_id": number} for number in range(3)]


def run(
    documents: list, *, ordered: bool = True, message_bytes: int = DOCUMENT_BYTES_MAX + 1, fails: int | None = None
):
    """Return the reply and the ids that were handed on; the ``fails``-th of these is a duplicate."""
    handed_on: list = []

    async def request(command):
        handed_on.extend(each["_id"] for each in command["documents"])
        errors = [] if fails is None else [{"index": fails, "code": 11000, "errmsg": ""}]
        return {"n": len(handed_on), "ok": 1.0, **({"writeErrors": errors} if errors else {})}

    command = {"insert": "c", "documents": documents, "ordered": ordered}
    try:
        answer(command, message_bytes, request).send(None)
    except StopIteration as end:
        reply = end.value
        return [[each["index"], each["code"]] for each in reply.get("writeErrors", ())], handed_on
    raise AssertionError("it awaited something")


def test_a_small_message_is_not_measured():
    """What came in fewer bytes than one document may have is handed on as it is."""
    assert run([LARGE], message_bytes=DOCUMENT_BYTES_MAX) == ([], ["large"])


def test_documents_that_fit_are_handed_on():
    """A large message of small documents is an ordinary one."""
    assert run(SMALL) == ([], [0, 1, 2])


def test_an_ordered_insert_ends_at_the_large_one():
    """What stands before it is inserted, what stands behind it is not."""
    assert run([SMALL[0], LARGE, SMALL[1]]) == ([[1, 2]], [0])
    assert run([LARGE, SMALL[1]]) == ([[0, 2]], [])


def test_an_ordered_insert_ends_at_its_first_error():
    """A duplicate before the large one is the only error."""
    assert run([SMALL[0], SMALL[1], LARGE], fails=1) == ([[1, 11000]], [0, 1])


@pytest.mark.parametrize(("fails", "errors"), [(None, [[1, 2]]), (1, [[1, 2], [2, 11000]])])
def test_an_unordered_insert_goes_on(fails, errors):
    """All others are inserted, and errors carry the places that the client gave the documents."""
    assert run([SMALL[0], LARGE, SMALL[1]], ordered=False, fails=fails) == (errors, [0, 1])
