"""What the operators of one update share while it runs on one document."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from bson.timestamp import Timestamp

from harness.sim.documents.paths import Parts
from harness.sim.documents.rendering import element_text
from harness.sim.documents.values import Document

TimestampSupplier = Callable[[], Timestamp]

ZERO_TIMESTAMP: Final = Timestamp(0, 0)


@dataclass(slots=True)
class UpdateState:
    """The run of one update on one document.

    Arguments: ``root`` is the document before the update, ``inserting`` is set while an upsert builds a new document,
    ``position`` the array index that the positional ``$`` stands for (None: the filter went through no array),
    ``now`` and ``timestamp`` what ``$currentDate`` writes. The run itself notes whether it
    ``changed`` the document and began its ``_id``, and collects ``renamed``, the paths to remove.
    """

    root: Document
    inserting: bool
    position: int | None
    now: datetime.datetime
    timestamp: TimestampSupplier
    changed: bool = False
    id_begun: bool = False
    renamed: list[Parts] = field(default_factory=list)

    def document_name(self) -> str:
        """Return how mongod's messages name the document: ``_id: 1``."""
        return element_text("_id", self.root["_id"]) if "_id" in self.root else "no id"


class Modifier(NamedTuple):
    """One operator on one field. A named tuple, not a dataclass: several are made for every update.

    Arguments: ``apply(value, argument, path, state)`` returns the new value, MISSING to remove the field, or the very
    object it was given where nothing changes; ``argument`` is what the operator was given; ``creates`` says whether it
    adds a missing field; ``ignores_unviable`` whether a path through a scalar is no error; ``skip(state, argument)``
    that the operator does not act on this document at all.
    """

    apply: Callable[[Any, Any, Parts, UpdateState], Any]
    argument: Any
    creates: bool = True
    ignores_unviable: bool = False
    skip: Callable[[UpdateState, Any], bool] | None = None
