"""Options that clients, databases and collections share: codec, read preference and concerns, inherited downwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bson.codec_options import CodecOptions
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import DEFAULT_WRITE_CONCERN, WriteConcern

from harness.errors import BackendError

if TYPE_CHECKING:
    from pymongo.read_preferences import _ServerMode

    from harness.sim.driver.session import Session

DEFAULT_CODEC_OPTIONS: Final[CodecOptions[Any]] = CodecOptions()
NO_TIME_LIMIT: Final = -1
"""The value of a read preference's ``max_staleness`` that sets none."""

_MODE: Final = type(ReadPreference.PRIMARY).__mro__[1]

NOT_OFFERED: Final[Mapping[str, frozenset[str]]] = {
    "Client": frozenset(
        {"HOST", "PORT", "aclose", "aconnect", "address", "append_metadata", "arbiters", "bulk_write", "eq_props"}
        | {"get_default_database", "is_mongos", "is_primary", "list_databases", "next", "nodes", "options", "primary"}
        | {"secondaries", "server_info", "topology_description"}
    ),
    "Database": frozenset({"cursor_command", "dereference", "next", "validate_collection"}),
    "Collection": frozenset(
        {"aggregate_raw_batches", "create_search_index", "create_search_indexes", "drop_search_index"}
        | {"find_raw_batches", "list_search_indexes", "next", "options", "rename", "update_search_index"}
    ),
}
"""What PyMongo's classes have and the pattern API has not; a part of that name is written in brackets."""


class Options:
    """Codec options, read preference, write and read concern. Raises TypeError where one is of another type."""

    __slots__ = ("_codec_options", "_read_concern", "_read_preference", "_write_concern")

    def __init__(
        self,
        codec_options: CodecOptions[Any],
        read_preference: _ServerMode,
        write_concern: WriteConcern,
        read_concern: ReadConcern,
    ) -> None:
        _check_type("codec_options", codec_options, CodecOptions)
        _check_type("read_preference", read_preference, _MODE)
        _check_type("write_concern", write_concern, WriteConcern)
        _check_type("read_concern", read_concern, ReadConcern)
        if read_preference.max_staleness != NO_TIME_LIMIT:
            raise BackendError(
                "the simulated driver does not model maxStalenessSeconds",
                next_step="run this scenario on a real server: --backend local",
            )
        self._codec_options = codec_options
        self._read_preference = read_preference
        self._write_concern = write_concern
        self._read_concern = read_concern

    @property
    def codec_options(self) -> CodecOptions[Any]:
        """How documents are decoded."""
        return self._codec_options

    @property
    def read_preference(self) -> _ServerMode:
        """Which members reads go to."""
        return self._read_preference

    @property
    def write_concern(self) -> WriteConcern:
        """What writes wait for."""
        return self._write_concern

    @property
    def read_concern(self) -> ReadConcern:
        """What reads see."""
        return self._read_concern

    def write_concern_for(self, session: Session | None) -> WriteConcern:
        """Return the write concern of a statement: in a transaction none, since the commit has it."""
        if session is not None and session.in_transaction:
            return DEFAULT_WRITE_CONCERN
        return self._write_concern

    def read_preference_for(self, session: Session | None) -> _ServerMode:
        """Return the read preference of a statement: in a transaction the transaction's."""
        if session is not None and session.in_transaction:
            return session.transaction.options.read_preference or self._read_preference
        return self._read_preference


def check_part(kind: str, name: str) -> None:
    """Raise AttributeError where ``name`` is no part's name, but something of PyMongo that is not offered here."""
    if name.startswith("_"):
        raise AttributeError(name)
    if name in NOT_OFFERED[kind]:
        raise AttributeError(f"the pattern API has no {kind}.{name}; for a part of that name write [{name!r}]")


def _check_type(name: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be an instance of {kind.__module__}.{kind.__name__}, not {type(value)}")
