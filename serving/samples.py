"""A sample of requests and answers on disk, for `intentcast replay`: bounded, and off by default.

The files hold what was sent, personal data included, readable by the server's user alone. Columns:
`request_id`, `answered_at` (UTC), `model_sha256`, `explain`, `request` (JSON: the history that was
scored, as `POST /v1/predictions` takes it) and `answer` (JSON). Files are parquet, named
`sample-<UTC time>-<process>-<number>.parquet`; those older than the set days go, and the oldest
beyond the set size.
"""

import json
import os
import queue
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from intentcast.histories import LeadHistory, history_to_json
from serving.notes import notes_of_request

SCHEMA = pl.Schema(
    {
        "request_id": pl.String(),
        "answered_at": pl.Datetime("us", "UTC"),
        "model_sha256": pl.String(),
        "explain": pl.Boolean(),
        "request": pl.String(),
        "answer": pl.String(),
    }
)
_PATTERN = "sample-*.parquet"
# A lead may have ten thousand events.
_MOST_WAITING = 200
_ROWS = 200
_SECONDS = 5.0
_ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True)
class SampleSettings:
    """Where samples go and how long they stay."""

    folder: Path
    share: float
    days: float
    max_bytes: int


@dataclass(frozen=True)
class _Sampled:
    request_id: str
    at: datetime
    history: LeadHistory
    answer: dict[str, Any]
    explain: bool


class Samples:
    """Takes answers without waiting, and writes them from a thread of its own.

    Args:
        settings: Where to, and how much.
        now: The clock: an instant in UTC.
        on_drop: Told of each answer that was chosen and could not be kept.
        on_error: Told of what went wrong when writing; never of what was to be written.
    """

    def __init__(
        self,
        settings: SampleSettings,
        *,
        now: Callable[[], datetime],
        on_drop: Callable[[], None],
        on_error: Callable[[str], None],
    ) -> None:
        self._settings, self._now = settings, now
        self._on_drop, self._on_error = on_drop, on_error
        self._waiting: queue.Queue[_Sampled | None] = queue.Queue(_MOST_WAITING)
        self._chosen_below = int(settings.share * 2**32)
        self._written = 0
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)

    def start(self) -> None:
        """Start to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is waiting and end."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join(30)

    def offer(self, history: LeadHistory, answer: dict[str, Any], *, explain: bool) -> None:
        """Take an answer if it is chosen and there is room; takes microseconds."""
        notes = notes_of_request()
        place = f"{notes.request_id}:{notes.n_leads}".encode()
        if zlib.crc32(place) >= self._chosen_below:
            return
        found = _Sampled(notes.request_id, self._now(), history, answer, explain)
        try:
            self._waiting.put_nowait(found)
        except queue.Full:
            self._on_drop()

    def _run(self) -> None:
        ends = False
        while not ends:
            rows: list[_Sampled] = []
            until = threading.TIMEOUT_MAX
            while len(rows) < _ROWS and not ends:
                try:
                    found = self._waiting.get(timeout=until)
                except queue.Empty:
                    break
                ends = found is None
                if found is not None:
                    rows.append(found)
                    until = _SECONDS
            if rows:
                self._write(rows)

    def _write(self, rows: list[_Sampled]) -> None:
        # Samples are for later: nothing that goes wrong with them may stop the server.
        try:
            self._save(rows)
        except Exception as error:
            self._on_error(type(error).__name__)
            for _ in rows:
                self._on_drop()
            return
        try:
            self._prune()
        except Exception as error:
            self._on_error(type(error).__name__)

    def _save(self, rows: list[_Sampled]) -> None:
        self._settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._written += 1
        stamp = f"{self._now():%Y%m%dT%H%M%S}"
        name = f"sample-{stamp}-{os.getpid()}-{self._written}.parquet"
        writing = self._settings.folder / f".{name}"
        try:
            # Made before it is filled, so that nobody else can read it at any time.
            writing.touch(mode=0o600)
            _frame(rows).write_parquet(writing)
            writing.rename(self._settings.folder / name)
        finally:
            writing.unlink(missing_ok=True)

    def _prune(self) -> None:
        now, folder = self._now(), self._settings.folder
        oldest = (now - timedelta(days=self._settings.days)).timestamp()
        abandoned = (now - timedelta(seconds=_ABANDONED_SECONDS)).timestamp()
        sizes = {path: stat for path in folder.glob(_PATTERN) if (stat := _stat(path))}
        # Of a process that was killed as it wrote; what is being written now is left alone.
        for path in folder.glob(f".{_PATTERN}"):
            if (stat := _stat(path)) and stat.st_mtime < abandoned:
                sizes[path] = stat
        total = sum(stat.st_size for stat in sizes.values())
        for path in sorted(sizes, key=lambda path: path.name.lstrip(".")):
            if sizes[path].st_mtime < oldest or total > self._settings.max_bytes:
                path.unlink(missing_ok=True)
                total -= sizes[path].st_size


def _stat(path: Path) -> os.stat_result | None:
    """Return what is known of a file, or None if another worker has removed it meanwhile."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _frame(rows: list[_Sampled]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "request_id": [row.request_id for row in rows],
            "answered_at": [row.at.astimezone(UTC) for row in rows],
            "model_sha256": [row.answer["model"]["sha256"] for row in rows],
            "explain": [row.explain for row in rows],
            "request": [json.dumps(history_to_json(row.history)) for row in rows],
            "answer": [json.dumps(row.answer) for row in rows],
        },
        schema=SCHEMA,
    )
