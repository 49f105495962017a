"""``aggregate``: its command, and the cursor over its result, for collections, databases and change streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pymongo.collation import validate_collation_or_none
from pymongo.common import validate_is_mapping, validate_list, validate_non_negative_integer_or_none
from pymongo.errors import ConfigurationError

from harness.sim.driver.command_cursor import CommandCursor
from harness.sim.driver.commands import Command
from harness.sim.driver.options import Options
from harness.sim.driver.results import value_taken_in
from harness.sim.driver.retry import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.read_preferences import _ServerMode

    from harness.sim.driver.client import Client
    from harness.sim.driver.connections import Connection
    from harness.sim.driver.session import Session

_WRITING = ("$out", "$merge")


class Aggregation:
    """An ``aggregate`` command on ``target`` (a collection's name, or 1) of a database, under the options of ``owner``.

    Raises TypeError, ValueError or ConfigurationError for arguments that PyMongo refuses.
    """

    def __init__(
        self,
        client: Client,
        owner: Options,
        database: str,
        target: str | int,
        *,
        pipeline: Any,
        options: dict[str, Any],
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
    ) -> None:
        if "explain" in options:
            raise ConfigurationError("The explain option is not supported. Use AsyncDatabase.command instead.")
        for name in ("aggregate", "pipeline"):
            if name in options:
                raise ConfigurationError(f"The {name} option cannot be specified as a keyword argument.")
        validate_list("pipeline", pipeline)
        self._client = client
        self._owner = owner
        self._database = database
        self._target = target
        self._pipeline = value_taken_in(pipeline, owner.codec_options)
        self.writes = bool(pipeline) and any(stage in pipeline[-1] for stage in _WRITING)
        options = dict(options)
        if let is not None:
            validate_is_mapping("let", let)
            options["let"] = let
        if comment is not None:
            options["comment"] = comment
        self._comment = options.get("comment")
        self._batch_size = validate_non_negative_integer_or_none("batchSize", options.pop("batchSize", None))
        self._collation = validate_collation_or_none(options.pop("collation", None))
        self._max_await_time_ms = options.pop("maxAwaitTimeMS", None)
        cursor = dict(options.get("cursor", {}))
        if self._batch_size is not None and not self.writes:
            cursor["batchSize"] = self._batch_size
        options["cursor"] = cursor
        self._options = {name: value_taken_in(value, owner.codec_options) for name, value in options.items()}

    async def run(
        self,
        session: Session | None,
        label: str,
        *,
        retryable: bool = True,
        on_reply: Callable[[dict[str, Any]], None] | None = None,
    ) -> CommandCursor:
        """Send it and return the cursor over its result; ``on_reply`` sees the reply first."""
        client = self._client
        used = session or client.lend_session()
        preference = self._owner.read_preference_for(used)

        async def attempt(session: Session, connection: Connection, _retryable: bool) -> CommandCursor:
            reply = await client.send(self._command(session, preference), session, connection)
            if on_reply is not None:
                on_reply(reply)
            return CommandCursor(
                client,
                reply["cursor"],
                label=label,
                member=connection.member,
                namespace=f"{self._database}.{'$cmd.aggregate' if self._target == 1 else self._target}",
                codec_options=self._owner.codec_options,
                batch_size=self._batch_size or 0,
                max_await_time_ms=self._max_await_time_ms,
                session=session,
                comment=self._comment,
            )

        try:
            return await read(client, attempt, used, preference, retryable=retryable and not self.writes)
        finally:
            client.take_back_unless_attached(used)

    def _command(self, session: Session, preference: _ServerMode) -> Command:
        head = {"aggregate": self._target, "pipeline": self._pipeline, **self._options}
        concern = self._owner.write_concern_for(session) if self.writes and "writeConcern" not in head else None
        reads = "readConcern" not in head
        return Command(
            head,
            self._database,
            read_preference=preference,
            read_concern=self._owner.read_concern,
            reads=reads,
            write_concern=concern,
            collation=self._collation,
            concern_error=True,
        )
