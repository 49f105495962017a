"""Documents beyond 16 MiB: a command may just carry one, and the write of it is refused, that of the others is not.

The simulated server does not measure documents, which would cost more than all that it does with them. Here a message
shows by its own size whether it is worth the while.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import bson

from harness.wire.documents import DOCUMENT_BYTES_MAX

Request = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

_BAD_VALUE = 2


async def answer(command: dict[str, Any], message_bytes: int, request: Request) -> dict[str, Any]:
    """Return the reply to a command; an ``insert`` goes without the documents that are too large, and is told so."""
    documents = command.get("documents")
    if message_bytes <= DOCUMENT_BYTES_MAX or "insert" not in command or not isinstance(documents, list):
        return await request(command)
    refused = {index: error for index, each in enumerate(documents) if (error := _too_large(index, each))}
    if not refused:
        return await request(command)
    ordered = command.get("ordered", True)
    last = min(refused) if ordered else len(documents)
    kept = [index for index in range(last) if index not in refused]
    if not kept:
        return {"n": 0, "writeErrors": [refused[last]] if ordered else list(refused.values()), "ok": 1.0}
    reply = await request({**command, "documents": [documents[index] for index in kept]})
    failed = [{**error, "index": kept[error["index"]]} for error in reply.get("writeErrors", ())]
    if not ordered:
        failed = sorted([*failed, *refused.values()], key=lambda error: error["index"])
    elif not failed:
        failed = [refused[last]]
    return {**reply, "writeErrors": failed} if reply["ok"] == 1 else reply


def _too_large(index: int, document: Any) -> dict[str, Any] | None:
    if not isinstance(document, dict):
        return None
    size = len(bson.encode(document))
    if size <= DOCUMENT_BYTES_MAX:
        return None
    words = f"object to insert too large. size in bytes: {size}, max size: {DOCUMENT_BYTES_MAX}"
    return {"index": index, "code": _BAD_VALUE, "errmsg": words}
