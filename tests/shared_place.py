"""Folders for what tests make: one for each process, and one for all processes of a test run.

The process that is started first, which with xdist runs no test itself, names the place and removes
it in the end; see `conftest.py`.
"""

import atexit
import fcntl
import functools
import os
import shutil
import tempfile
from pathlib import Path

VARIABLE = "PYTEST_INTENTCAST_PLACE"


@functools.cache
def _shared():
    if named := os.environ.get(VARIABLE):
        return Path(named)
    folder = Path(tempfile.mkdtemp(prefix="intentcast-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def place():
    """Return a folder for this process alone."""
    return Path(tempfile.mkdtemp(prefix="process-", dir=_shared()))


def once(name, make):
    """Return a folder that one process fills for all of them; nobody writes to it later.

    Args:
        name: Of the folder.
        make: Fills a folder that it is given; nobody sees it before it is whole.
    """
    final = _shared() / name
    with (_shared() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.exists():
            writing = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_shared()))
            make(writing)
            writing.rename(final)
    return final
