"""The two ways a document operation ends without a result: mongod's error, and what the model does not cover.

Codes and names are those of mongod 6.0 (``src/mongo/base/error_codes.yml``; an unnamed code is ``Location<code>``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from harness.errors import BackendError

INTERNAL_ERROR: Final = 1
BAD_VALUE: Final = 2
FAILED_TO_PARSE: Final = 9
TYPE_MISMATCH: Final = 14
OVERFLOW: Final = 15
INVALID_LENGTH: Final = 16
PATH_NOT_VIABLE: Final = 28
CANNOT_BACKFILL_ARRAY: Final = 34
CONFLICTING_UPDATE_OPERATORS: Final = 40
DOLLAR_PREFIXED_FIELD_NAME: Final = 52
INVALID_ID_FIELD: Final = 53
NOT_SINGLE_VALUE_FIELD: Final = 54
EMPTY_FIELD_NAME: Final = 56
DOTTED_FIELD_NAME: Final = 57
IMMUTABLE_FIELD: Final = 66
INVALID_OPTIONS: Final = 72
NOT_EXACT_VALUE_FIELD: Final = 111
INVALID_PIPELINE_OPERATOR: Final = 168
QUERY_FEATURE_NOT_ALLOWED: Final = 224
DUPLICATE_KEY: Final = 11000
BSON_OBJECT_TOO_LARGE: Final = 10334

_CODE_NAMES: Final[Mapping[int, str]] = {
    INTERNAL_ERROR: "InternalError",
    BAD_VALUE: "BadValue",
    4: "NoSuchKey",
    FAILED_TO_PARSE: "FailedToParse",
    TYPE_MISMATCH: "TypeMismatch",
    OVERFLOW: "Overflow",
    INVALID_LENGTH: "InvalidLength",
    PATH_NOT_VIABLE: "PathNotViable",
    CANNOT_BACKFILL_ARRAY: "CannotBackfillArray",
    CONFLICTING_UPDATE_OPERATORS: "ConflictingUpdateOperators",
    DOLLAR_PREFIXED_FIELD_NAME: "DollarPrefixedFieldName",
    INVALID_ID_FIELD: "InvalidIdField",
    NOT_SINGLE_VALUE_FIELD: "NotSingleValueField",
    EMPTY_FIELD_NAME: "EmptyFieldName",
    DOTTED_FIELD_NAME: "DottedFieldName",
    IMMUTABLE_FIELD: "ImmutableField",
    67: "CannotCreateIndex",
    68: "IndexAlreadyExists",
    INVALID_OPTIONS: "InvalidOptions",
    85: "IndexOptionsConflict",
    86: "IndexKeySpecsConflict",
    NOT_EXACT_VALUE_FIELD: "NotExactValueField",
    INVALID_PIPELINE_OPERATOR: "InvalidPipelineOperator",
    171: "CannotIndexParallelArrays",
    197: "InvalidIndexSpecificationOption",
    QUERY_FEATURE_NOT_ALLOWED: "QueryFeatureNotAllowed",
    241: "ConversionFailure",
    BSON_OBJECT_TOO_LARGE: "BSONObjectTooLarge",
    DUPLICATE_KEY: "DuplicateKey",
}


class DocumentError(Exception):
    """What mongod answers instead of a result.

    Arguments: ``code`` is mongod's error code, ``message`` its errmsg, ``details`` the further fields of the error
    document (``keyPattern`` and ``keyValue`` of a duplicate key).
    """

    def __init__(self, code: int, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: Mapping[str, Any] = details or {}

    @property
    def code_name(self) -> str:
        """Return mongod's name of :attr:`code`, ``Location<code>`` for one without a name."""
        return _CODE_NAMES.get(self.code, f"Location{self.code}")


class UnsupportedOperator(BackendError):  # noqa: N818 - says what is unsupported; not a malfunction of the server
    """A real mongod knows the operator, the simulated one does not.

    Arguments: ``operator`` with its dollar sign, ``where`` the place it stands in (``"a filter"``).
    """

    def __init__(self, operator: str, where: str) -> None:
        super().__init__(
            f"the simulated server does not model {operator} in {where}",
            next_step="run this scenario on a real server: --backend local",
        )
        self.operator = operator
