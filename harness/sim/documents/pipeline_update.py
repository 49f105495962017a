"""Updates that are pipelines: ``[{"$set": {...}}, {"$unset": ...}, {"$replaceWith": ...}]``.

mongod does not optimize such a pipeline: constants are computed for each document, in the order they are written.
Source: the manual's page "Updates with Aggregation Pipeline".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson.regex import Regex

from harness.sim.documents.errors import IMMUTABLE_FIELD, INVALID_ID_FIELD, INVALID_OPTIONS, DocumentError
from harness.sim.documents.expressions import Environment, root_scope
from harness.sim.documents.order import equal
from harness.sim.documents.rendering import type_name, value_text
from harness.sim.documents.stage_names import check_stage
from harness.sim.documents.stage_project import Transform
from harness.sim.documents.stage_transforms import TRANSFORMS, TransformStage, compile_transforms
from harness.sim.documents.values import MISSING, Document


def compile_pipeline_update(pipeline: Sequence[Mapping[str, Any]], environment: Environment) -> Transform:
    """Return an update's pipeline as a function of the document, which leaves the rules of ``_id`` to its caller.

    Arguments: ``pipeline`` is normalised; ``environment`` holds the clock and the update's constants.
    Raises DocumentError: 72 for a stage that updates may not have, else mongod's code of the stage.
    """
    stages: list[TransformStage] = []
    for specification in pipeline:
        name, argument = check_stage(specification)
        compile_stage = TRANSFORMS.get(name)
        if compile_stage is None:
            raise DocumentError(INVALID_OPTIONS, f"{name} is not allowed to be used within an update")
        stages.append(compile_stage(name, argument, root_scope(environment, folding=False)))
    return compile_transforms(stages)


def apply_pipeline_update(
    document: Document, pipeline: Sequence[Mapping[str, Any]], environment: Environment
) -> Document:
    """Return what the pipeline makes of a stored ``document``, its ``_id`` first and as it was.

    Raises DocumentError (66) where the pipeline changes ``_id``, 53 where it makes it an array or a regular
    expression, else as :func:`compile_pipeline_update` does.
    """
    result = compile_pipeline_update(pipeline, environment)(document)
    identity = result.get("_id", MISSING)
    if type(identity) is list or type(identity) is Regex:
        raise DocumentError(INVALID_ID_FIELD, f"The '_id' value cannot be of type {type_name(identity)}")
    if identity is MISSING:
        return {"_id": document["_id"], **result}
    if not equal(identity, document["_id"]):
        what = f"_id: {value_text(identity)}"
        message = f"After applying the update, the (immutable) field '_id' was found to have been altered to {what}"
        raise DocumentError(IMMUTABLE_FIELD, message)
    return {"_id": identity, **result}
