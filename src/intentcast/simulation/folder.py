"""A world written as a data set folder, whole or not at all."""

import tempfile
from pathlib import Path
from typing import Final

from intentcast.errors import InputError
from intentcast.simulation.world import World

TABLES: Final = (
    "leads",
    "accounts",
    "events",
    "outcomes",
    "attribute_changes",
    "truth",
    "content",
)


def write_world(world: World, out: Path) -> None:
    """Write each table as ``<table>.parquet`` and the settings as ``dataset.toml`` into ``out``.

    The folder is written beside ``out`` and renamed, so a reader never sees half of it.

    Args:
        world: What to write.
        out: A folder that does not exist, or is empty; its parents are created.

    Raises:
        InputError: If ``out`` is a file or a folder with something in it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out} exists and is not an empty folder",
            expected="a new or empty folder to write the data set into",
            next_step="choose another --out, or remove what is there",
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        folder = Path(scratch) / out.name
        folder.mkdir()
        for table in TABLES:
            getattr(world, table).write_parquet(
                folder / f"{table}.parquet", compression="zstd", compression_level=15
            )
        (folder / "dataset.toml").write_text(world.dataset_toml, encoding="utf-8")
        if out.exists():
            out.rmdir()
        folder.rename(out)
