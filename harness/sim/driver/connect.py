"""Opening a client of the simulated set under the cell's settings."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Final

from pymongo.errors import ConfigurationError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from harness.errors import UsageError
from harness.settings import Settings
from harness.sim.driver.client import Client, ClientOptions
from harness.sim.driver.object_ids import ObjectIds
from harness.sim.driver.recorder import Recorder
from harness.sim.driver.selection import Network
from harness.sim.kernel.loop import Kernel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymongo.read_preferences import _ServerMode

_READ_PREFERENCES: Final[Mapping[str, _ServerMode]] = {
    "primary": ReadPreference.PRIMARY,
    "primaryPreferred": ReadPreference.PRIMARY_PREFERRED,
    "secondary": ReadPreference.SECONDARY,
    "secondaryPreferred": ReadPreference.SECONDARY_PREFERRED,
    "nearest": ReadPreference.NEAREST,
}


def open_client(
    network: Network,
    kernel: Kernel,
    settings: Settings,
    *,
    group: str,
    random: Random,
    recorder: Recorder | None = None,
    object_ids: ObjectIds | None = None,
    connection_numbers: Iterator[int] | None = None,
) -> Client:
    """Return a client of the set, seen through the links of its ``group``.

    What ``settings`` leave unset stays at the default of PyMongo and the server. ``random`` is the client's own stream:
    its session ids and object ids come from it. Without a ``recorder`` nothing is recorded and nothing cancels.
    ``object_ids`` are shared with the pattern's environment where given; ``connection_numbers`` with the other clients
    of the run, whose connections have other numbers. Raises UsageError where PyMongo refuses the settings
    (``w=0,j=true``).
    """
    try:
        write_concern = WriteConcern(settings.w, settings.wtimeout_ms, settings.j)
    except (ConfigurationError, ValueError, TypeError) as error:
        raise UsageError(
            f"opening a client under the setting {settings.text()!r}: {error}",
            next_step="choose settings that PyMongo accepts together",
        ) from error
    options = ClientOptions(
        read_preference=_READ_PREFERENCES[settings.read_preference or "primary"],
        write_concern=write_concern,
        read_concern=ReadConcern(settings.read_concern_level),
        retry_writes=settings.driver_retries_writes,
        retry_reads=settings.driver_retries_reads,
    )
    return Client(
        network,
        kernel,
        options,
        group=group,
        random=random,
        recorder=recorder,
        object_ids=object_ids,
        connection_numbers=connection_numbers,
    )
