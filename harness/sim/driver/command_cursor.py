"""The cursor over the result of ``aggregate`` and of the commands that list things."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from bson.codec_options import CodecOptions

from harness.sim.driver.cursor_base import CursorBase
from harness.sim.driver.find import check_batch_size, check_int_or_none
from harness.sim.driver.recording import recorded

if TYPE_CHECKING:
    from harness.sim.driver.client import Client
    from harness.sim.driver.session import Session


class CommandCursor(CursorBase):
    """The result of ``aggregate`` and of the commands that list things; ``cursor`` is that of the reply."""

    __slots__ = ("post_batch_resume_token",)

    _waits = True

    def __init__(
        self,
        client: Client,
        cursor: Mapping[str, Any],
        *,
        label: str,
        member: str,
        namespace: str,
        codec_options: CodecOptions[Any],
        batch_size: int = 0,
        max_await_time_ms: int | None = None,
        session: Session | None = None,
        comment: Any = None,
    ) -> None:
        super().__init__(
            client,
            label=label,
            namespace=cursor.get("ns", namespace),
            codec_options=codec_options,
            session=session,
            comment=comment,
        )
        check_int_or_none("max_await_time_ms", max_await_time_ms)
        self.post_batch_resume_token: Mapping[str, Any] | None = cursor.get("postBatchResumeToken")
        self._member = member
        self._max_await_time_ms = max_await_time_ms
        self._identifier = cursor["id"]
        self._batch.extend(cursor["firstBatch"])
        self.batch_size(batch_size)
        if self._identifier == 0:
            self._killed = True
            self.let_session_go()
        elif session is not None:
            session.attached = True

    @property
    def has_buffered(self) -> bool:
        """Whether it can return a document without asking the member."""
        return bool(self._batch)

    def batch_size(self, batch_size: int) -> Self:
        """Limit the documents of one reply."""
        check_batch_size(batch_size)
        self._batch_size = 2 if batch_size == 1 else batch_size
        return self

    @recorded(fetch=True)
    async def try_next(self) -> Any:
        """Return the next document after one command at most, or None."""
        return await self.advance()

    async def advance(self, *, may_ask: bool = True) -> Any:
        """Return the next document after one command at most, or None, as part of another call."""
        if not self._batch and not self._killed and may_ask:
            await self._refresh()
        return self._pop() if self._batch else None

    async def _refresh(self) -> None:
        if self._batch or self._killed:
            return
        if not self._identifier:
            await self.give_up()
            return
        cursor = await self._get_more(self._batch_size)
        self.post_batch_resume_token = cursor.get("postBatchResumeToken")
        self._identifier = cursor["id"]
        if self._identifier == 0:
            await self.give_up()
        self._batch.extend(cursor["nextBatch"])
