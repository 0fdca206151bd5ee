"""Conditions on one value, as files state them: what a column must hold for a rule to apply."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

CONDITIONS = ("equals", "between", "at_least", "at_most", "matches", "otherwise")


def _checked_pattern(pattern: str) -> str:
    # Checked with the engine that will run it: it has no look-around, Python's has.
    try:
        pl.Series([""]).str.contains(f"(?i){pattern}")
    except pl.exceptions.ComputeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        reason = next((line for line in lines if line.startswith("error:")), lines[0])
        raise ValueError(
            f"not a regular expression: {reason.removeprefix('error: ')} ('{pattern}')"
        ) from None
    return pattern


def as_tuple(value: Any) -> Any:
    """Return a list as it is and anything else as a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_checked_pattern)]
Values = Annotated[tuple[str | float, ...], BeforeValidator(as_tuple), Field(min_length=1)]


class Part(BaseModel):
    """A part of a scorecard file: no unknown key, never changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Condition(Part):
    """One condition on a column's value; an unknown or empty value meets none.

    Exactly one of `equals` (a value or a list; text without regard to case), `between` (both ends
    included), `at_least`, `at_most`, `matches` (a regular expression found anywhere, without
    regard to case) or `otherwise = true` (any known value).
    """

    equals: Values | None = None
    between: tuple[float, float] | None = None
    at_least: float | None = None
    at_most: float | None = None
    matches: Pattern | None = None
    otherwise: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> "Condition":
        given = [name for name in CONDITIONS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"{' and '.join(given) or 'no condition'} given, "
                f"one of {', '.join(CONDITIONS)} needed"
            )
        if self.between and self.between[0] > self.between[1]:
            raise ValueError(f"between: {self.between[0]:g} is above {self.between[1]:g}")
        return self


def fulfilled(tests: Sequence[Condition], texts: pl.Series) -> NDArray[np.bool_]:
    """Return which values meet which condition.

    Args:
        tests: The conditions.
        texts: Values as text, shape (n,).

    Returns:
        Shape (n, n_tests).
    """
    out = np.zeros((len(texts), len(tests)), dtype=np.bool_)
    column = pl.col("value")
    met = (
        texts.alias("value")
        .to_frame()
        .select(_condition(test, column).alias(f"{i}") for i, test in enumerate(tests))
    )
    for i, series in enumerate(met):
        out[:, i] = series.to_numpy()
    return out


def _condition(test: Condition, column: pl.Expr) -> pl.Expr:
    text = column.str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    if test.equals is not None:
        words = [v.strip().lower() for v in test.equals if isinstance(v, str)]
        numbers = [float(v) for v in test.equals if not isinstance(v, str)]
        met = text.str.to_lowercase().is_in(words) | number.is_in(numbers)
    elif test.between is not None:
        met = number.is_between(*test.between, closed="both")
    elif test.at_least is not None:
        met = number >= test.at_least
    elif test.at_most is not None:
        met = number <= test.at_most
    elif test.matches is not None:
        met = text.str.contains(f"(?i){test.matches}")
    else:
        met = pl.lit(value=True)
    return met.fill_null(value=False) & (text.str.len_chars() > 0).fill_null(value=False)
