"""Answers that a server logged, computed again: by its own path and by the batch's, bit for bit.

The log is what `INTENTCAST_SAMPLE_TO` made: parquet files with `request_id`, `answered_at`,
`model_sha256`, `explain`, `request` (the history that was scored, as JSON) and `answer` (JSON). An
answer of another bundle than the given one is counted and left out.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from intentcast.bundle import Bundle
from intentcast.errors import InputError, IntentcastError
from intentcast.histories import LeadHistory, dataset_of, history_from_json, snapshot_of
from intentcast.scoring import answer_histories, predict

_COLUMNS = ("request_id", "answered_at", "model_sha256", "explain", "request", "answer")
# Said of the model as a whole, and the policy may be newer than the log; the rest must be equal.
_LEFT_OUT = frozenset({"model"})
_OF_BATCH = ("probability", "low", "high")


@dataclass(frozen=True)
class Difference:
    """A field of an answer that comes out otherwise.

    Attributes:
        request_id: Of the logged request.
        lead_id: Of its lead.
        field: Such as `probabilities.0.low`; with `batch:` before it, of the batch path.
        logged: The value in the log.
        computed: The value now.
    """

    request_id: str
    lead_id: str
    field: str
    logged: Any
    computed: Any


@dataclass(frozen=True)
class Replayed:
    """What came of a log.

    Attributes:
        n_answers: In the log.
        n_other: Of another bundle, left out.
        n_equal: Equal to the bit, by both paths.
        differences: All fields of the others.
    """

    n_answers: int
    n_other: int
    n_equal: int
    differences: tuple[Difference, ...]

    @property
    def n_different(self) -> int:
        """Answers that came out otherwise."""
        return self.n_answers - self.n_other - self.n_equal


def read_log(place: Path) -> pl.DataFrame:
    """Return the rows of a log, a file or a folder of them, oldest first.

    Raises:
        InputError: If there is none, or one is not a log.
    """
    # A name that begins with a dot is a file still being written.
    files = sorted(place.glob("[!.]*.parquet")) if place.is_dir() else [place]
    if not files or not all(file.is_file() for file in files):
        raise InputError(
            f"no log in {place}",
            expected="parquet files that a server with INTENTCAST_SAMPLE_TO wrote",
            next_step="check the path",
        )
    parts = []
    for file in files:
        try:
            parts.append(pl.read_parquet(file).select(_COLUMNS))
        except (pl.exceptions.PolarsError, OSError):
            raise InputError(
                f"{file.name} is not a log of answers",
                expected=f"parquet with {', '.join(_COLUMNS)}",
                next_step="give what INTENTCAST_SAMPLE_TO names",
            ) from None
    return pl.concat(parts).sort("answered_at", "request_id")


def replay(
    bundle: Bundle, log: pl.DataFrame, *, on_progress: Callable[[int], None] = lambda _: None
) -> Replayed:
    """Compute the answers of a log again and compare.

    Args:
        bundle: From `load_bundle`, with the policy that the server had.
        log: From `read_log`.
        on_progress: Told the number of answers done.

    Raises:
        InputError: If a row does not hold a request and an answer.
    """
    mine = log.filter(pl.col("model_sha256") == bundle.sha256)
    differences: list[Difference] = []
    n_equal = 0
    for done, row in enumerate(mine.iter_rows(named=True), start=1):
        found = _compare(bundle, row)
        n_equal += not found
        differences += found
        on_progress(done)
    return Replayed(len(log), len(log) - len(mine), n_equal, tuple(differences))


def _compare(bundle: Bundle, row: Mapping[str, Any]) -> list[Difference]:
    try:
        logged = json.loads(row["answer"])
        history = history_from_json(json.loads(row["request"]))
        lead_id = str(logged["lead_id"])
        told = logged["probabilities"]
        days = [int(entry["horizon_days"]) for entry in told]
        # What was not asked for were those that were learnt.
        asked = None if days == sorted(bundle.models) else days
        (again,) = answer_histories(bundle, [history], explain=[row["explain"]], horizons=asked)
        batch = _batch(bundle, history, asked)
    except (IntentcastError, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"a row of the log that cannot be read ({type(error).__name__})",
            expected="requests and answers as the server wrote them",
            next_step="see whether the log was changed",
        ) from None
    again = json.loads(json.dumps(again))
    pairs = _leaves("", {key: value for key, value in logged.items() if key not in _LEFT_OUT})
    others = _leaves("", {key: value for key, value in again.items() if key not in _LEFT_OUT})
    found = [
        Difference(row["request_id"], lead_id, name, pairs.get(name), others.get(name))
        for name in sorted(pairs.keys() | others.keys())
        if name not in pairs or name not in others or not _same(pairs[name], others[name])
    ]
    for place, entry in enumerate(told):
        for name in _OF_BATCH:
            computed = batch.get((entry["horizon_days"], name))
            if computed is not None and not _same(entry[name], computed):
                field = f"batch:probabilities.{place}.{name}"
                found.append(Difference(row["request_id"], lead_id, field, entry[name], computed))
    return found


def _batch(
    bundle: Bundle, history: LeadHistory, asked: list[int] | None
) -> dict[tuple[int, str], float]:
    """Return what the batch path says of a history: through tables, as `score` reads them."""
    dataset, snapshot = dataset_of(history, bundle.config), snapshot_of(history)
    _, predicted = predict(bundle, dataset, snapshot, horizons=asked)
    columns = (predicted.probabilities, predicted.low, predicted.high)
    return {
        (days, name): float(values[0, column])
        for column, days in enumerate(predicted.horizons_days)
        for name, values in zip(_OF_BATCH, columns, strict=True)
    }


def _same(a: Any, b: Any) -> bool:
    # JSON's shortest decimal names each double, so equal text and equal bits are one thing.
    return type(a) is type(b) and a == b


def _leaves(place: str, value: Any) -> dict[str, Any]:
    """Return every scalar in a JSON value by its dotted place."""
    if isinstance(value, dict) and value:
        parts = [(f"{place}.{key}", part) for key, part in value.items()]
    elif isinstance(value, list) and value:
        parts = [(f"{place}.{i}", part) for i, part in enumerate(value)]
    else:
        return {place.lstrip("."): value}
    return {name: leaf for inner, part in parts for name, leaf in _leaves(inner, part).items()}
