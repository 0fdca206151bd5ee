"""Bytes to JSON values, stricter than the standard library and as fast, and lists to their items.

A key that is given twice becomes `REPEATED`, which no field accepts: the field is then named as
wrong, where the last value would otherwise silently win.
"""

import json
from typing import Any, Final

import numpy as np

from serving.problems import INVALID, MALFORMED, FieldError, ProblemError
from serving.scanning import items


class _Repeated:
    """The value of a key that an object has more than once."""


REPEATED: Final = _Repeated()


def parse_json(body: bytes) -> Any:
    """Return the value that a body holds.

    NaN and infinity are numbers here; fields refuse them, and so can be named.

    Raises:
        ProblemError: 400 if the body is not UTF-8, not JSON, nested too deeply, or has an integer
            of thousands of digits.
    """
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_object)
    except UnicodeDecodeError:
        detail = "the body is not UTF-8"
    except RecursionError:
        detail = "the body is nested too deeply"
    except json.JSONDecodeError as error:
        detail = f"the body is not JSON: see line {error.lineno}, column {error.colno}"
    except ValueError:
        detail = "the body has a number of too many digits"
    raise ProblemError(MALFORMED, detail)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found[key] = REPEATED
            seen.add(key)
    return found


def items_of(body: bytes) -> list[bytes]:
    """Return the items of a body that is a list, each as it came; what is in them is not looked at.

    Raises:
        ProblemError: 400 if the body is not JSON, 422 if it is no list.
    """
    bounds = items(np.frombuffer(body, dtype=np.uint8))
    if bounds[0, 1] < 0:
        parse_json(body)
        wrong = FieldError(field="body", reason="must be a list")
        raise ProblemError(INVALID, "1 wrong field", errors=[wrong])
    return [body[start:stop] for start, stop in bounds[1:].tolist()]
