"""What was set aside, as files: one CSV per table, with row numbers and broken rules."""

import io
from pathlib import Path

from intentcast.files import write_atomic
from intentcast.sources.dataset import Dataset


def write_set_aside(dataset: Dataset, folder: Path) -> list[Path]:
    """Write the quarantined rows of each table that has any; return the files.

    `row_number` counts the file's data rows from 1; `broken_rules` names every rule a row broke.

    Raises:
        InputError: If the folder cannot be written to.
    """
    paths = []
    for bad in dataset.quarantined:
        path = folder / f"{bad.table}.csv"
        if bad.rows.is_empty():
            # What an earlier run set aside has been corrected since.
            path.unlink(missing_ok=True)
            continue
        buffer = io.BytesIO()
        bad.rows.write_csv(buffer)
        write_atomic(path, buffer.getvalue())
        paths.append(path)
    return paths
