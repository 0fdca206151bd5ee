"""What earlier runs said, kept beside the page, so that a run can say what has changed since.

`state.json`: `format`, and `runs`, by the instant of monitoring. A run has `as_of` and `groups`,
one per version and horizon (`VERSION|DAYS`) with its log loss, conversions expected and observed,
and per as-of time the scores judged and the conversions among them. A run repeated with the same
data changes nothing, neither the file nor what is said.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from intentcast.errors import InputError
from intentcast.monitoring.realized import Judged, Quality

_FORMAT = 1
_MOST_RUNS = 100
_ROUND = 10


@dataclass(frozen=True)
class Reopened:
    """What has changed, since the run before, of scores that it had judged already.

    Attributes:
        since: The instant of that run.
        converted: Non-conversions that became conversions: recorded late.
        withdrawn: Conversions that are none any more.
        observed_before: Conversions of the group then.
        log_loss_before: Of the group then.
    """

    since: str
    converted: int
    withdrawn: int
    observed_before: float
    log_loss_before: float


def group_key(version: str, horizon_days: int) -> str:
    """Return the name of a version and horizon in the state."""
    return f"{version}|{horizon_days}"


def run_of(judged: list[tuple[Judged, Quality]], *, as_of: datetime) -> dict[str, Any]:
    """Return what this run is remembered by."""
    groups = {}
    for rows, quality in judged:
        counts = rows.rows.group_by("as_of").agg(pl.len(), pl.col("converted").sum()).sort("as_of")
        groups[group_key(rows.version, rows.horizon_days)] = {
            "log_loss": round(quality.log_loss, _ROUND),
            "expected": round(float(rows.rows["probability"].sum()), _ROUND),
            "observed": int(rows.rows["converted"].sum()),
            "times": {t.isoformat(): [n, k] for t, n, k in counts.iter_rows()},
        }
    return {"as_of": as_of.isoformat(), "groups": groups}


def read_runs(path: Path) -> list[dict[str, Any]]:
    """Return the runs of a state file, oldest first; none without a file.

    Raises:
        InputError: If it is no state file.
    """
    if not path.exists():
        return []
    try:
        raw = json.loads(path.read_bytes())
        if raw["format"] != _FORMAT:
            raise ValueError
        runs = [{"as_of": run["as_of"], "groups": dict(run["groups"])} for run in raw["runs"]]
        return sorted(runs, key=lambda run: datetime.fromisoformat(run["as_of"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{path} cannot be read",
            expected="what an earlier `intentcast monitor` wrote",
            next_step="restore it, or move it away to begin anew",
        ) from None


def with_run(runs: list[dict[str, Any]], run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state with a run added; one of the same instant and figures is not added."""
    kept = runs if run in runs else [*runs, dict(run)]
    kept = sorted(kept, key=lambda r: datetime.fromisoformat(r["as_of"]))
    return {"format": _FORMAT, "runs": kept[-_MOST_RUNS:]}


def run_before(runs: list[dict[str, Any]], run: dict[str, Any]) -> dict[str, Any] | None:
    """Return the latest run to compare with: not of a later instant, and not this very one."""
    now = datetime.fromisoformat(run["as_of"])
    earlier = [r for r in runs if datetime.fromisoformat(r["as_of"]) <= now]
    if run in earlier:
        earlier = earlier[: earlier.index(run)]
    return earlier[-1] if earlier else None


def reopened(before: Mapping[str, Any] | None, run: Mapping[str, Any], key: str) -> Reopened | None:
    """Return what changed of one group's scores; None where it was not judged before.

    As-of times with another number of scores than then, of which files were added or left out, are
    not compared.
    """
    if before is None or key not in before["groups"]:
        return None
    then, now = before["groups"][key], run["groups"][key]
    gaps = [
        now["times"][t][1] - k
        for t, (n, k) in then["times"].items()
        if t in now["times"] and now["times"][t][0] == n
    ]
    return Reopened(
        before["as_of"],
        sum(gap for gap in gaps if gap > 0),
        -sum(gap for gap in gaps if gap < 0),
        then["observed"],
        then["log_loss"],
    )
