"""From pydantic's errors to named fields and reasons that repeat nothing of the input."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from serving.payloads import REPEATED
from serving.problems import INVALID, FieldError, ProblemError

MOST_NAMED = 20
_LONGEST_STEP = 40
_LONGEST_FIELD = 200
_UNSAFE = re.compile(r"[^A-Za-z0-9_\-]")

_REASONS: Mapping[str, str] = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "string_type": "must be a string",
    "string_unicode": "must be valid Unicode",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "too_short": "must have at least {min_length} entries",
    "bool_type": "must be true or false",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "too_long": "must have at most {max_length} entries",
}
# Errors that the schemas raise themselves; their messages are constants.
OWN_PREFIX = "own_"

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], value: Any, *, context: object) -> Model:
    """Return the value as a model.

    Raises:
        ProblemError: 422 naming up to 20 wrong fields.
    """
    try:
        return model.model_validate(value, context=context)
    except ValidationError as error:
        detail = _count(error.error_count())
        raise ProblemError(INVALID, detail, errors=field_errors(error)) from None


def refuse(wrong: list[FieldError]) -> None:
    """Return if nothing is wrong.

    Raises:
        ProblemError: 422 naming up to 20 wrong fields.
    """
    if wrong:
        raise ProblemError(INVALID, _count(len(wrong)), errors=wrong[:MOST_NAMED])


def _count(n: int) -> str:
    shown = f", the first {MOST_NAMED} of them named" if n > MOST_NAMED else ""
    return f"{n} wrong field{'s' if n > 1 else ''}{shown}"


def field_errors(error: ValidationError) -> list[FieldError]:
    """Return the wrong fields, at most 20."""
    found = error.errors(include_url=False)[:MOST_NAMED]
    return [
        FieldError(field=field_path(item["loc"]), reason=_reason(item, item.get("ctx", {})))
        for item in found
    ]


def _reason(item: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    if item["input"] is REPEATED:
        return "is given more than once"
    kind = str(item["type"])
    if kind.startswith(OWN_PREFIX):
        return str(item["msg"])
    return _REASONS.get(kind, "is not valid").format(**context)


def field_path(steps: Sequence[str | int]) -> str:
    """Return a field's path, with what a sender chose cut short and stripped of odd characters.

    >>> field_path(("lead", "attributes", "a key <script>", "[key]"))
    'lead.attributes.a_key__script_'
    """
    named = [step for step in steps if step != "[key]"]
    path = ".".join(_UNSAFE.sub("_", str(step)[:_LONGEST_STEP]) for step in named)
    return path[:_LONGEST_FIELD] or "body"
