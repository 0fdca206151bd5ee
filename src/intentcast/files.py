"""Files that are there whole or not at all."""

import io
import json
import math
import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intentcast.errors import InputError

if TYPE_CHECKING:
    import polars as pl


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file by way of a temporary one beside it.

    Raises:
        InputError: If the folder cannot be written to; nothing is left behind.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise InputError(
            f"cannot write {path} ({error.strerror})",
            expected="a folder that can be written to, with room in it",
            next_step="choose another place",
        ) from None


def write_frame(frame: "pl.DataFrame", path: Path) -> None:
    """Write a frame as CSV or Parquet, as the path's ending says.

    Raises:
        InputError: If the folder cannot be written to; nothing is left behind.
    """
    buffer = io.BytesIO()
    if path.suffix == ".csv":
        frame.write_csv(buffer)
    else:
        frame.write_parquet(buffer, compression="zstd")
    write_atomic(path, buffer.getvalue())


def plain(value: Any) -> Any:
    """Return nested values as JSON can say them: NaN and infinity as null, instants as text."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def json_bytes(value: Any) -> bytes:
    """Return a value as indented JSON text; NaN and infinity are refused."""
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
