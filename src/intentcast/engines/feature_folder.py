"""The folder that features are written to: whose it is, which parts are finished, the manifest.

A part is there whole or not at all: it is written under another name, synced, renamed, and says in
its metadata which job it belongs to. `job.json` says what was asked for; the lock, held by an open
file, ends with the process, however that ends.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from intentcast.errors import InputError
from intentcast.files import json_bytes, write_atomic

JOB, MANIFEST, LOCK, SPILL, SET_ASIDE = "job.json", "manifest.json", ".lock", ".spill", "quarantine"
_ABOUT = "intentcast"


@dataclass(frozen=True)
class FeaturePart:
    """One finished part.

    Attributes:
        number: Of its partition.
        n_rows: Snapshots.
        n_events: Events that were read for it, copies included.
        n_copies: How many of them were copies.
    """

    number: int
    n_rows: int
    n_events: int
    n_copies: int

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"part-{self.number:05}.parquet"


class FeatureFolder:
    """A folder in use by one process at a time; use it in a `with` statement."""

    def __init__(self, path: Path, request: Mapping[str, Any]) -> None:
        """Name the folder and what is asked for.

        Args:
            path: Need not exist.
            request: JSON values. Two runs with the same are one job.
        """
        self.path, self.request = path, json.loads(json_bytes(dict(request)))
        told = json.dumps(self.request, sort_keys=True).encode()
        self.key = hashlib.sha256(told).hexdigest()[:16]
        self._lock: int | None = None

    def __enter__(self) -> "FeatureFolder":
        """Take the folder.

        Raises:
            InputError: If it has files of no job, another process has it, or it cannot be written
                to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._refuse_other_files()
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release()
            raise InputError(
                f"another process writes to {self.path}",
                expected="one at a time",
                next_step="wait until it is done, or choose another --out",
            ) from None
        except OSError as error:
            self._release()
            raise _unwritable(self.path, error) from None
        return self

    def _refuse_other_files(self) -> None:
        there = sorted(p.name for p in self.path.iterdir() if not p.name.startswith("."))
        if there and JOB not in there:
            raise InputError(
                f"{self.path} exists and is not an empty folder (it has {', '.join(there[:4])})",
                expected="a new folder, or one of the same job",
                next_step="choose another --out",
            )

    def __exit__(self, *_: object) -> None:
        """Let go of it."""
        self._release()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the lock behind: who works for the holder elsewhere does not hold it."""
        return {**self.__dict__, "_lock": None}

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def begin(self, *, resume: bool) -> None:
        """Make the folder this job's: go on with what is there, or start anew.

        Args:
            resume: Whether finished parts of the same job count. Without it, whatever an earlier
                job wrote is removed; nothing else ever is.

        Raises:
            InputError: If, resuming, it has files of another job.
        """
        job = self._job()
        if job is not None and resume and job.get("request") != self.request:
            other = _differing(job.get("request"), self.request)
            raise InputError(
                f"features of another job in {self.path}, which differs in {', '.join(other)}",
                expected=f"the job that {JOB} describes",
                next_step="choose another --out, or give --no-resume to replace them",
            )
        if not resume:
            self._clear()
        for unfinished in self.path.glob(".part-*"):
            unfinished.unlink()
        if self.manifest() is not None:
            # A run that was killed right at its end may have left it.
            shutil.rmtree(self.spill, ignore_errors=True)
        if self._job() is None:
            write_atomic(self.path / JOB, json_bytes({"request": self.request}))

    def _job(self) -> dict[str, Any] | None:
        try:
            job = json.loads((self.path / JOB).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            job = None
        return job if isinstance(job, dict) else {}

    def _clear(self) -> None:
        for path in [self.path / MANIFEST, *self.path.glob("part-*.parquet")]:
            path.unlink(missing_ok=True)
        for folder in (SPILL, SET_ASIDE):
            shutil.rmtree(self.path / folder, ignore_errors=True)
        (self.path / JOB).unlink(missing_ok=True)

    def agree(self, plan: Mapping[str, Any]) -> None:
        """Keep what the request led to, or compare it with what it led to before.

        Args:
            plan: JSON values that follow from data and program alone.

        Raises:
            InputError: If it led to something else: the program has changed in between.
        """
        plan = json.loads(json_bytes(dict(plan)))
        kept = (self._job() or {}).get("plan")
        if kept is None:
            write_atomic(self.path / JOB, json_bytes({"request": self.request, "plan": plan}))
        elif kept != plan:
            raise InputError(
                f"parts in {self.path} that another version of the program began: they differ in "
                f"{', '.join(_differing(kept, plan))}",
                expected="one version from the first part to the last",
                next_step="give --no-resume to compute all of them anew",
            )

    @property
    def spill(self) -> Path:
        """Where events lie between reading and use."""
        return self.path / SPILL

    @property
    def set_aside(self) -> Path:
        """Where rows that broke a rule are written."""
        return self.path / SET_ASIDE

    def manifest(self) -> dict[str, Any] | None:
        """Return the manifest, if the job is done."""
        try:
            manifest = json.loads((self.path / MANIFEST).read_bytes())
        except (OSError, ValueError):
            return None
        is_mine = isinstance(manifest, dict) and manifest.get("job") == self.key
        return manifest if is_mine else None

    def finished(self, n_partitions: int) -> list[FeaturePart]:
        """Return the parts of this job that are there."""
        found = (self._finished(number) for number in range(n_partitions))
        return [part for part in found if part is not None]

    def _finished(self, number: int) -> FeaturePart | None:
        path = self.path / FeaturePart(number, 0, 0, 0).file
        try:
            about = json.loads(pl.read_parquet_metadata(path)[_ABOUT])
            if about.pop("job") == self.key:
                return FeaturePart(**about)
        except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
            return None
        return None

    def write_part(self, part: FeaturePart, frame: pl.DataFrame) -> None:
        """Write one part: a temporary file, synced, renamed.

        Uncompressed, twice the bytes would have to reach the disk; zstd saves a seventh of lz4's
        bytes for half as much time again; statistics of floats help no reader and cost as much as
        the rest.

        Raises:
            InputError: If there is no room, or the folder cannot be written to.
        """
        about = json.dumps({"job": self.key, **vars(part)})
        temporary = self.path / f".{part.file}"
        try:
            frame.write_parquet(
                temporary, compression="lz4", statistics=False, metadata={_ABOUT: about}
            )
            _sync(temporary)
            temporary.replace(self.path / part.file)
            _sync(self.path)
        except (OSError, pl.exceptions.PolarsError) as error:
            temporary.unlink(missing_ok=True)
            raise _unwritable(self.path / part.file, error) from None

    def finish(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Write the manifest and remove what only served the way there."""
        whole = {"job": self.key, **manifest}
        write_atomic(self.path / MANIFEST, json_bytes(whole))
        shutil.rmtree(self.spill, ignore_errors=True)
        return whole


def _differing(one: Any, other: Any) -> list[str]:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return [JOB]
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return [name.replace("_", " ") for name in names] or [JOB]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(path: Path, error: Exception) -> InputError:
    why = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return InputError(
        f"cannot write {path} ({why})",
        expected="a folder that can be written to, with room in it",
        next_step="choose another --out",
    )
