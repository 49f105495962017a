"""Commands as PyMongo sends them: which fields, and in which order."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

from pymongo.read_preferences import ReadPreference

if TYPE_CHECKING:
    from pymongo.read_concern import ReadConcern
    from pymongo.read_preferences import _ServerMode
    from pymongo.write_concern import WriteConcern

    from harness.sim.driver.session import Session

PRIMARY: Final = ReadPreference.PRIMARY


class Fields(TypedDict, total=False):
    """What most commands leave at its default."""

    payload: tuple[str, list[Any]]
    read_preference: _ServerMode
    read_concern: ReadConcern
    reads: bool
    write_concern: WriteConcern | None
    collation: dict[str, Any] | None
    allowable: Container[int | str]
    check: bool
    concern_error: bool
    from_cursor: bool
    is_statement: bool


class Command:
    """A command before it gets the fields of a session: :meth:`document` makes one to send, anew for each attempt.

    ``head`` begins with the command's name. The other attributes stand in the class unless they are given, because a
    command is made for every call.
    """

    payload: tuple[str, list[Any]] | None = None
    """The field that PyMongo sends as a section of its own, after all others."""
    read_preference: _ServerMode = PRIMARY
    read_concern: ReadConcern | None = None
    reads = False
    """Whether a read concern applies: ``read_concern``, and the times of the session."""
    write_concern: WriteConcern | None = None
    collation: dict[str, Any] | None = None
    allowable: Container[int | str] = ()
    """Error codes that are no error of this command."""
    check = True
    concern_error = False
    """Whether a writeConcernError raises."""
    from_cursor = False
    """Whether it is a find or a getMore, whose time-outs PyMongo words differently."""
    is_statement = False
    """Whether writeErrors and a writeConcernError raise, after it was recorded that it was answered."""

    def __init__(self, head: dict[str, Any], database: str, **fields: Unpack[Fields]) -> None:
        self.name = next(iter(head))
        self.head = head
        self.database = database
        self.__dict__.update(fields)

    def document(self, session: Session | None, cluster_time: Any, *, retryable: bool) -> dict[str, Any]:
        """Return the command to send in ``session``; ``cluster_time`` is the client's, or None."""
        command = self.head.copy()
        if session is not None:
            session.apply(command, self.name, self.read_preference, retryable=retryable)
            known = session.cluster_time
            if known is not None and (cluster_time is None or known["clusterTime"] > cluster_time["clusterTime"]):
                cluster_time = known
        if cluster_time is not None:
            command["$clusterTime"] = cluster_time
        if self.reads and (session is None or not session.transaction.active):
            self._add_read_concern(command, session)
        if self.collation is not None:
            command["collation"] = self.collation
        concern = self.write_concern
        if concern is not None and not concern.is_server_default:
            command["writeConcern"] = concern.document
        command["$db"] = self.database
        if self.read_preference.mode:
            command["$readPreference"] = self.read_preference.document
        if self.payload is not None:
            command[self.payload[0]] = self.payload[1]
        return command

    def _add_read_concern(self, command: dict[str, Any], session: Session | None) -> None:
        if self.read_concern is not None and self.read_concern.level:
            command["readConcern"] = self.read_concern.document
        if session is not None:
            session.add_times(command)
