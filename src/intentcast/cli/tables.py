"""Tables that commands write: Parquet or CSV by the file's ending, there whole or not at all."""

from pathlib import Path
from typing import TYPE_CHECKING

from intentcast.errors import InputError

if TYPE_CHECKING:
    import polars as pl

_SUFFIXES = (".parquet", ".csv")


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


def write_frame(frame: "pl.DataFrame", path: Path) -> None:
    """Write a frame as the ending says."""
    import io

    from intentcast.files import write_atomic

    buffer = io.BytesIO()
    if path.suffix == ".csv":
        frame.write_csv(buffer)
    else:
        frame.write_parquet(buffer, compression="zstd")
    write_atomic(path, buffer.getvalue())


def read_frame(path: Path) -> "pl.DataFrame":
    """Read a frame that a command wrote; times in CSV are read as UTC instants.

    Raises:
        InputError: If there is none, or it cannot be read.
    """
    import polars as pl

    checked_suffix(path)
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, try_parse_dates=True)
    except (OSError, pl.exceptions.PolarsError) as error:
        said = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path} cannot be read ({said})",
            expected="a file that intentcast wrote",
            next_step="check the path, or write it again",
        ) from None
