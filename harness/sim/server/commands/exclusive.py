"""Having a collection for oneself: drops and index builds wait for the transactions that use it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from harness.sim.server.commands.context import Request
from harness.sim.server.commands.transactions import Transaction, expire


@contextlib.asynccontextmanager
async def exclusively(request: Request, *namespaces: str) -> AsyncIterator[None]:
    """Wait until no open transaction uses the collections, and keep others out until the context ends.

    Raises CommandError 50 at the deadline.
    """
    exclusive = request.state.exclusive
    for namespace in namespaces:
        exclusive[namespace] = exclusive.get(namespace, 0) + 1
    try:
        while (user := _user(request, namespaces)) is not None:
            await request.wait(until_us=user.expires_us)
        yield
    finally:
        for namespace in namespaces:
            exclusive[namespace] -= 1
            if not exclusive[namespace]:
                del exclusive[namespace]
        request.kernel.signal(request.service.replica_set.changed)


def _user(request: Request, namespaces: tuple[str, ...]) -> Transaction | None:
    for session in request.state.sessions.values():
        transaction = session.transaction
        if transaction is None or expire(transaction):
            continue
        if any(namespace in transaction.namespaces for namespace in namespaces):
            return transaction
    return None
