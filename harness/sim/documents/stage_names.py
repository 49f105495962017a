"""The shape of a stage, and the names of mongod 6.0's stages: those the model leaves out are not unknown."""

from __future__ import annotations

from typing import Any, Final

from harness.sim.documents.errors import TYPE_MISMATCH, DocumentError

KNOWN_STAGES: Final = frozenset(
    {
        "$addFields",
        "$bucket",
        "$bucketAuto",
        "$changeStream",
        "$collStats",
        "$count",
        "$currentOp",
        "$densify",
        "$documents",
        "$facet",
        "$fill",
        "$geoNear",
        "$graphLookup",
        "$group",
        "$indexStats",
        "$limit",
        "$listLocalSessions",
        "$listSessions",
        "$lookup",
        "$match",
        "$merge",
        "$out",
        "$planCacheStats",
        "$project",
        "$redact",
        "$replaceRoot",
        "$replaceWith",
        "$sample",
        "$set",
        "$setWindowFields",
        "$shardedDataDistribution",
        "$skip",
        "$sort",
        "$sortByCount",
        "$unionWith",
        "$unset",
        "$unwind",
    }
)


def check_stage(specification: Any) -> tuple[str, Any]:
    """Return the name and the argument of a stage.

    Raises DocumentError: 14 for what is no document, 40323 for one without exactly one field, 40324 for a name that
    mongod does not know.
    """
    if type(specification) is not dict:
        raise DocumentError(TYPE_MISMATCH, "Each element of the 'pipeline' array must be an object")
    if len(specification) != 1:
        raise DocumentError(40323, "A pipeline stage specification object must contain exactly one field.")
    ((name, argument),) = specification.items()
    if name not in KNOWN_STAGES:
        raise DocumentError(40324, f"Unrecognized pipeline stage name: '{name}'")
    return name, argument
