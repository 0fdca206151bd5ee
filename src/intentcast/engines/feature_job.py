"""Features of a whole data set, partition by partition, into one parquet file each."""

import hashlib
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.bundle import Bundle, read_bundle
from intentcast.config import FeatureSettings
from intentcast.contracts import TABLES
from intentcast.engines.feature_folder import FeatureFolder, FeaturePart
from intentcast.engines.local import Engine
from intentcast.engines.pace import Pace
from intentcast.engines.selection import chosen
from intentcast.errors import RefusedError
from intentcast.features import Featurizer, fit_featurizer
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
from intentcast.sources.cleaning import SetAside
from intentcast.sources.events import SET_ASIDE, spill_events
from intentcast.sources.partitioned import EntityTables, PartitionedDataset, load_entities
from intentcast.sources.set_aside import write_set_aside
from intentcast.sources.spill import Spill
from intentcast.sources.tables import count_rows

FORMAT = 1
# A partition's working memory is some hundred MB at most at these sizes.
_EVENTS_PER_PARTITION, _ROWS_PER_PARTITION = 250_000, 60_000
_MOST_PARTITIONS = 10_000
# A vocabulary of frequent words does not get better from more.
SAMPLE_EVENTS = 1_000_000
_MINE = threading.local()
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class FeatureRequest:
    """What features are asked for.

    Attributes:
        data: Folder of the data set.
        out: Folder to write to.
        bundle: Whose vocabulary to use; None to learn one.
        known_by: Up to when to learn it; None for the first as-of time.
        as_of: The only as-of time; None for the cohort's.
        n_partitions: How many; None for as many as keep memory small.
        settings: Of the features, where the vocabulary is learnt.
        seed: Of the clustering of themes.
        only: Patterns of the features to write, as of file names; empty for all.
    """

    data: Path
    out: Path
    bundle: Path | None
    known_by: datetime | None
    as_of: datetime | None
    n_partitions: int | None
    settings: FeatureSettings
    seed: int
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeatureJob:
    """The partition function: it takes a partition's number and may run wherever the files are.

    Attributes:
        data: Gives a partition.
        featurizer: Vocabulary and themes.
        times: The as-of times.
        folder: Takes its features.
        names: Of the features to write, of those that the featurizer has.
    """

    data: PartitionedDataset
    featurizer: Featurizer
    times: tuple[datetime, ...]
    folder: FeatureFolder
    names: tuple[str, ...]

    def __call__(self, number: int) -> FeaturePart:
        """Compute and write one partition's features."""
        dataset, n_copies = self.data.partition(number)
        n_events = len(dataset.events) + n_copies
        # In the order in which histories are walked, so that no column is moved afterwards.
        snapshots = build_snapshots(dataset, list(self.times)).sort(
            "account_id", "lead_id", "as_of"
        )
        keys = [snapshots[name] for name in ("lead_id", "account_id", "as_of")]
        computed = self.featurizer.spec.names
        columns = np.empty((len(computed), 0), dtype=np.float32)
        if len(snapshots):
            room = _room(len(computed) * len(snapshots))
            columns = self.featurizer.transform(dataset, snapshots, room=room).values.T
        place = {name: at for at, name in enumerate(computed)}
        part = FeaturePart(number, len(snapshots), n_events, n_copies)
        features = [pl.Series(name, columns[place[name]]) for name in self.names]
        self.folder.write_part(part, pl.DataFrame([*keys, *features]))
        return part


def _room(size: int) -> Singles:
    """Return this thread's memory for one matrix: new memory costs as much as filling it."""
    room: Singles | None = getattr(_MINE, "room", None)
    if room is None or len(room) < size:
        room = np.empty(size + size // 8, dtype=np.float32)
        _MINE.room = room
    return room


@dataclass(frozen=True)
class WrittenFeatures:
    """What a run did.

    Attributes:
        manifest: As written.
        n_resumed: Parts that an earlier run had finished.
    """

    manifest: dict[str, Any]
    n_resumed: int


def write_features(
    request: FeatureRequest,
    *,
    engine: Engine,
    resume: bool = True,
    on_progress: Callable[[str], None] | None = None,
) -> WrittenFeatures:
    """Write the features of every snapshot of a data set, one parquet file per partition.

    A run that was stopped, however it was, goes on where it was: finished parts are not touched.

    Args:
        request: What and where.
        engine: Where partitions are worked on.
        resume: Whether to go on with the same job's files; else to begin anew.
        on_progress: Told what is being done.

    Raises:
        InputError: If the data set, the bundle or the folder is not what it must be.
        RefusedError: If there is nothing to learn a vocabulary from, or nobody to describe.
    """
    say = on_progress or (lambda _: None)
    bundle = None if request.bundle is None else read_bundle(request.bundle)
    tables = load_entities(request.data, on_table=lambda table: say(f"reading {table}"))
    n_partitions = request.n_partitions or enough_partitions(tables, request.as_of)
    say("looking at what is there")
    identity = _identity(request, bundle, tables, n_partitions)
    with FeatureFolder(request.out, identity) as folder:
        folder.begin(resume=resume)
        if (manifest := folder.manifest()) is not None:
            return WrittenFeatures(manifest, n_resumed=n_partitions)
        data = _partitioned(tables, folder, n_partitions, engine, say)
        times = _times(data, request.as_of)
        say("learning the vocabulary" if bundle is None else "taking the bundle's vocabulary")
        if bundle is None:
            featurizer, vocabulary = _learnt(request, data, times[0])
        else:
            featurizer = bundle.featurizer
            vocabulary = {"bundle": bundle.manifest["version"], "known_by": bundle.data_cutoff}
        plan = {
            "as_of_times": [moment.isoformat() for moment in times],
            "feature_hash": featurizer.spec.hash,
            "themes": _digest_of_themes(featurizer),
        }
        folder.agree(plan)
        names = chosen(featurizer.spec.names, request.only)
        finished = folder.finished(n_partitions)
        job = FeatureJob(data, featurizer.enough_for(names), times, folder, names)
        parts = sorted(_run(job, finished, engine, say), key=lambda part: part.number)
        n_rows = sum(part.n_rows for part in parts)
        if not n_rows:
            cohort = tables.config.cohort
            raise RefusedError(
                f"nobody in the cohort from {times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d}",
                expected=f"leads that are open and {cohort.rule} within {cohort.within_days} days",
                next_step="choose another --as-of, or correct [cohort] in dataset.toml",
            )
        say("writing the manifest")
        _write_set_aside(data, folder)
        manifest = {
            "format": FORMAT,
            "dataset": tables.config.name,
            "data": folder.request["data"],
            "data_cutoff": data.data_cutoff.isoformat(),
            "vocabulary": vocabulary,
            **plan,
            "n_rows": n_rows,
            "n_features": len(names),
            "n_events": data.n_events - sum(part.n_copies for part in parts),
            "names": list(names),
            "parts": [{"file": part.file, **vars(part)} for part in parts],
            "tables": _what_was_set_aside(data, sum(part.n_copies for part in parts)),
        }
        return WrittenFeatures(folder.finish(manifest), n_resumed=len(finished))


def enough_partitions(tables: EntityTables, as_of: datetime | None) -> int:
    """Return how many partitions keep the memory of each small, from what the files say."""
    path = tables.events_path
    n_events = count_rows(path) or path.stat().st_size // 100
    n_rows = len(tables.leads) * (1 if as_of else _n_times_about(tables))
    wanted = max(n_events / _EVENTS_PER_PARTITION, n_rows / _ROWS_PER_PARTITION)
    return min(max(1, math.ceil(wanted)), _MOST_PARTITIONS)


def _n_times_about(tables: EntityTables) -> int:
    """Return how many as-of times there will be, or would be over the span of leads."""
    cohort, created = tables.config.cohort, tables.leads["created_at"]
    start = cohort.start or created.min()
    end = cohort.end or tables.config.data_cutoff or created.max()
    if not isinstance(start, datetime) or not isinstance(end, datetime):
        return 1
    return max(1, (end - start) // timedelta(days=cohort.every_days) + 1)


def _identity(
    request: FeatureRequest, bundle: Bundle | None, tables: EntityTables, n_partitions: int
) -> dict[str, Any]:
    """Return all that decides the result; the words are shown where two jobs differ."""
    files = [path for path in tables.paths.values() if path is not None]
    files.append(tables.folder / "dataset.toml")
    return {
        "format": FORMAT,
        "version": library_version("intentcast"),
        "data": {path.name: _digest(path) for path in files},
        "bundle": bundle.sha256 if bundle else None,
        "settings": None if bundle else request.settings.model_dump(mode="json"),
        "seed": None if bundle else request.seed,
        "known_by": request.known_by.isoformat() if request.known_by else None,
        "as_of": request.as_of.isoformat() if request.as_of else None,
        "only": list(request.only),
        "partitions": n_partitions,
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _partitioned(
    tables: EntityTables,
    folder: FeatureFolder,
    n_partitions: int,
    engine: Engine,
    say: Callable[[str], None],
) -> PartitionedDataset:
    """Return the events of an earlier run of the job, if they are all there, or read them."""
    try:
        spill = Spill(folder.spill)
        if spill.is_whole():
            return PartitionedDataset(tables, spill)
    except (OSError, ValueError, KeyError, pl.exceptions.PolarsError):
        pass
    n_all = count_rows(tables.events_path)
    pace, n_read = Pace(n_all), 0

    def on_rows(n_rows: int) -> None:
        nonlocal n_read
        n_read += n_rows
        if pace.add(n_rows):
            say(f"events: {n_read:,}{f' of {n_all:,}' if n_all else ''}, {pace}")

    say("reading events")
    spill_events(tables, folder.spill, n_partitions=n_partitions, run=engine.run, on_rows=on_rows)
    return PartitionedDataset(tables, Spill(folder.spill))


def _times(data: PartitionedDataset, as_of: datetime | None) -> tuple[datetime, ...]:
    if as_of is not None:
        return (as_of,)
    outline = data.outline()
    span = cohort_span(outline)
    times = as_of_times(span, outline.config.cohort.every_days)
    if not times:
        raise RefusedError(
            f"no as-of time from {span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}",
            expected="a cohort that begins before it ends",
            next_step="correct cohort.start and cohort.end in dataset.toml, or give --as-of",
        )
    return tuple(times)


def _learnt(
    request: FeatureRequest, data: PartitionedDataset, first: datetime
) -> tuple[Featurizer, dict[str, Any]]:
    """Learn the vocabulary of a bounded sample of accounts, and say of which."""
    known_by = request.known_by or first
    # Of what was known by then only: rows that were recorded later must not change the sample.
    share = min(1.0, SAMPLE_EVENTS / max(data.events_known_before(known_by), 1))
    sample = data.sample(share, known_by=known_by)
    if sample.events.is_empty():
        raise RefusedError(
            f"no event known before {known_by:%Y-%m-%dT%H:%MZ}, the time up to which the "
            "vocabulary is learnt",
            expected="events from before the first as-of time",
            next_step="give --known-by a later time, or a --bundle whose vocabulary to use",
        )
    featurizer = fit_featurizer(
        sample, known_by=known_by, settings=request.settings, seed=request.seed
    )
    return featurizer, {
        "bundle": None,
        "known_by": known_by.isoformat(),
        "share_of_accounts": share,
        "n_accounts": sample.leads["account_id"].n_unique(),
        "n_events": len(sample.events),
    }


def _digest_of_themes(featurizer: Featurizer) -> str:
    """Return a digest of all that decides a content's theme."""
    digest = hashlib.sha256()
    for field in fields(featurizer.themes):
        value = getattr(featurizer.themes, field.name)
        digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return digest.hexdigest()[:16]


def _run(
    job: FeatureJob, finished: list[FeaturePart], engine: Engine, say: Callable[[str], None]
) -> list[FeaturePart]:
    """Work on the partitions that are not finished, and return all."""
    parts = list(finished)
    n_events = [job.data.events_in(number) for number in range(job.data.n_partitions)]
    done = {part.number for part in finished}
    left = [number for number in range(len(n_events)) if number not in done]
    if finished:
        say(f"{len(finished)} of {len(n_events)} partitions were finished before")
    pace = Pace(sum(n_events[number] for number in left))
    for part in engine.run(job, left):
        parts.append(part)
        if pace.add(part.n_events):
            say(f"partition {len(parts)} of {len(n_events)}, {pace}")
    return parts


def _write_set_aside(data: PartitionedDataset, folder: FeatureFolder) -> None:
    """Write the rows that broke a rule, of events too, which are too many for memory."""
    tables = replace(data.outline(), quarantined=data.tables.quarantined)
    write_set_aside(tables, folder.set_aside)
    events = folder.spill / SET_ASIDE
    if events.exists():
        folder.set_aside.mkdir(exist_ok=True)
        events.replace(folder.set_aside / SET_ASIDE)


def _what_was_set_aside(data: PartitionedDataset, n_copies: int) -> list[dict[str, Any]]:
    """Return what `intentcast check` says of each table."""
    found = [(SetAside.of(bad), bad.n_duplicates) for bad in data.tables.quarantined]
    found.append((data.events_set_aside, n_copies))
    return [
        {
            "table": bad.table,
            "n_rows": bad.n_rows,
            "n_set_aside": bad.n_set_aside,
            "n_duplicates": n_duplicates,
            "rules": bad.rules,
        }
        for bad, n_duplicates in sorted(found, key=lambda row: list(TABLES).index(row[0].table))
    ]
