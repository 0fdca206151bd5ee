"""Tables that commands write: Parquet or CSV by the file's ending, there whole or not at all."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from intentcast.errors import InputError
from intentcast.files import write_frame

if TYPE_CHECKING:
    import polars as pl

__all__ = ["checked_suffix", "read_frame", "told_before", "write_frame"]
_SUFFIXES = (".parquet", ".csv")
# What is text even where all of it looks like numbers or dates: 00123 is not 123.
_TEXT = ("lead_id", "account_id", "tier", "model_version", "policy_version")


def checked_suffix(path: Path) -> Path:
    """Return the path.

    Raises:
        InputError: If it is neither Parquet nor CSV.
    """
    if path.suffix not in _SUFFIXES:
        raise InputError(
            f"a file {path}", expected="a .parquet or .csv file", next_step="name it so"
        )
    return path


def read_frame(path: Path) -> "pl.DataFrame":
    """Read a frame that a command wrote; in CSV, times are UTC instants, and names are text.

    Raises:
        InputError: If there is none, or it cannot be read.
    """
    import polars as pl

    checked_suffix(path)
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(
            path, try_parse_dates=True, schema_overrides=dict.fromkeys(_TEXT, pl.String)
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        said = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path} cannot be read ({said})",
            expected="a file that intentcast wrote",
            next_step="check the path, or write it again",
        ) from None


def told_before(path: Path, moment: datetime) -> "pl.DataFrame":
    """Return the scores told last before an instant; of several times, the latest.

    Args:
        path: `lead_id`, `as_of`, `tier`, as `intentcast score` writes them.
        moment: The as-of time of what is asked now.

    Raises:
        InputError: If a column is missing, or the scores are of a later time.
    """
    import polars as pl

    told = read_frame(path)
    if absent := {"lead_id", "as_of", "tier"} - set(told.columns):
        raise InputError(
            f"{path} has no column {', '.join(sorted(absent))}",
            expected="a file that `intentcast score` wrote",
            next_step="check --previous",
        )
    told = told.with_columns(pl.col("lead_id").cast(pl.String))
    if told.schema["as_of"] == pl.String:
        told = told.with_columns(pl.col("as_of").str.to_datetime(time_zone="UTC", strict=False))
    latest = told["as_of"].max()
    if not isinstance(latest, datetime) or latest.replace(tzinfo=UTC) > moment:
        raise InputError(
            f"--previous {path} was scored as of {str(latest)[:30]}",
            expected=f"scores of {moment:%Y-%m-%d %H:%M} UTC or before",
            next_step="give the scores told last, or a later --as-of",
        )
    return told.filter(pl.col("as_of") == latest)
