"""Is an account's probability true? Simulated worlds with the truth known, and the sample.

    python tests/benchmarks/accounts.py --worlds 5 --sample --write docs/accounts.md

In each world the learners are fitted on what is known on 2025-07-07 and every fourteenth day from
then to 2025-09-29 is predicted, at 30, 60 and 90 days. The account view is fitted on the slice that
calibrates the leads. Judged are accounts of two or more leads, beside the likeliest lead alone and
the leads as if independent. `pairs` puts every two accounts of a world together, as a group with
two companies that buy apart: dependence in between, of another form than the view's. `made` are
accounts drawn from the view's own form, the leads' p known: what do 500 of them tell?
"""

import argparse
import os
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pages import write_sections

from intentcast.account_view import (
    AccountView,
    account_evidence,
    account_probabilities,
    account_view_of,
    fit_account_view,
)
from intentcast.config import FeatureSettings, LearnerConfig, LogisticSettings, read_settings
from intentcast.evaluation.backtest import _splits
from intentcast.evaluation.metrics import auc
from intentcast.labels import label_snapshots, was_at_risk
from intentcast.propensity import fit_ladder
from intentcast.propensity.calibration import fit_platt
from intentcast.propensity.horizons import predict_horizons
from intentcast.propensity.margins import logit
from intentcast.simulation import simulate, write_world
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
from intentcast.sources import Dataset, load_dataset
from intentcast.training import training_set

ROOT = Path(__file__).resolve().parents[2]
Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
KNOWN_BY = datetime(2025, 7, 7, tzinfo=UTC)
TESTED = [KNOWN_BY + timedelta(days=14 * i) for i in range(7)]
# A world in tens of seconds: fewer features, the same learners and ladder.
QUICK = LearnerConfig(
    max_rows=12_000,
    features=FeatureSettings(half_lives_days=(7, 30), windows_days=(7, 30), clustered_themes=2),
    logistic=LogisticSettings(inverse_penalties=(0.003, 0.03)),
)
METHODS = ("account view", "likeliest lead", "as if independent")


@dataclass(frozen=True)
class Predicted:
    """Accounts of two or more leads at one horizon, by one way of putting leads together."""

    p: Floats
    converted: Floats
    true: Floats | None


@dataclass(frozen=True)
class Fold:
    """Test leads with their probabilities, and the view that was fitted before."""

    snapshots: pl.DataFrame
    p: Floats
    horizons: tuple[int, ...]
    converted: Mapping[int, Floats]
    true: Mapping[int, Floats] | None
    view: Callable[[Callable[[str], str]], AccountView]


def fold(
    dataset: Dataset,
    *,
    times: list[datetime],
    known_by: datetime,
    test: list[datetime],
    config: LearnerConfig,
    truth: pl.DataFrame | None = None,
) -> Fold:
    """Fit on what was known and predict the test times."""
    primary = dataset.config.conversion.primary_horizon_days
    known = training_set(dataset, times=times, known_by=known_by, config=config)
    fitted = fit_ladder(known.rows, known.followed, primary=primary, config=config)
    models = {days: fit.models[fitted[primary].champion] for days, fit in fitted.items()}
    names = dict.fromkeys(known.snapshots["account_id"].to_list())
    by_number = {zlib.crc32(name.encode()): name for name in names}

    def view(group: Callable[[str], str]) -> AccountView:
        number = {n: zlib.crc32(group(name).encode()) for n, name in by_number.items()}
        rows = {
            days: replace(part, clusters=np.array([number[int(n)] for n in part.clusters]))
            for days, part in known.rows.items()
        }
        return account_view_of(fitted, rows, primary=primary)

    cohort = build_snapshots(dataset, test)
    # Who had closed without anybody having recorded it yet has no outcome to judge by.
    snapshots = cohort.filter(was_at_risk(cohort, dataset, known_by=dataset.data_cutoff))
    predicted = predict_horizons(models, known.featurizer.transform(dataset, snapshots).doubles)
    horizons = predicted.horizons_days
    converted = {
        days: label_snapshots(snapshots, dataset, horizon_days=days, known_by=dataset.data_cutoff)
        .fill_null(value=False)
        .cast(pl.Float64)
        .to_numpy()
        for days in horizons
    }
    true = None
    if truth is not None:
        true = {
            days: snapshots.join(
                truth.filter(pl.col("horizon_days") == days),
                on=["lead_id", "as_of"],
                how="left",
                maintain_order="left",
            )["p_true"]
            .fill_null(0.0)
            .to_numpy()
            for days in horizons
        }
    return Fold(snapshots, predicted.probabilities, horizons, converted, true, view)


def put_together(
    found: Fold, group: Callable[[str], str]
) -> tuple[AccountView, dict[int, dict[str, Predicted]]]:
    """Return the view, and per horizon each way's accounts of two or more leads."""
    named = found.snapshots.with_columns(
        owner=pl.col("account_id").map_elements(group, return_dtype=pl.String)
    )
    owner = named.select(pl.struct("owner", "as_of").rank("dense") - 1).to_series().to_numpy()
    owner = owner.astype(np.int64)
    company = named.select(pl.struct("account_id", "as_of").rank("dense") - 1).to_series()
    company = company.to_numpy().astype(np.int64)
    view = found.view(group)
    several = np.bincount(owner) > 1
    ways = {
        "account view": view,
        "likeliest lead": replace(view, own_share=0.0),
        "as if independent": replace(view, own_share=1.0),
    }
    out: dict[int, dict[str, Predicted]] = {days: {} for days in found.horizons}
    for name, way in ways.items():
        p = account_probabilities(found.p, owner, way)
        for column, days in enumerate(found.horizons):
            came = np.bincount(owner, weights=found.converted[days]) > 0
            true = None
            if found.true is not None:
                true = _true(found.true[days], company, owner)[several]
            out[days][name] = Predicted(p[several, column], came[several].astype(float), true)
    return view, out


def _true(p_true: Floats, company: Codes, owner: Codes) -> Floats:
    """Return 1 − ∏(1 − max p): a company buys for all its people at once, companies apart."""
    bought = np.zeros(company.max() + 1)
    np.maximum.at(bought, company, p_true)
    of_company = np.zeros(len(bought), dtype=np.int64)
    of_company[company] = owner
    none: Floats = np.bincount(of_company, weights=np.log1p(-np.minimum(bought, 1 - 1e-12)))
    return -np.expm1(none)


def figures(rows: Predicted) -> list[float]:
    """Return predicted, came, true, slope against the truth (or outcomes), log loss, AUC."""
    against = rows.converted if rows.true is None else rows.true
    p = np.clip(rows.p, 1e-6, 1 - 1e-6)
    loss = -np.mean(against * np.log(p) + (1 - against) * np.log1p(-p))
    true = float("nan") if rows.true is None else float(rows.true.mean())
    gap = float("nan") if rows.true is None else float(np.abs(p - rows.true).mean())
    _, slope = fit_platt(logit(p), against)
    return [
        float(p.mean()),
        float(rows.converted.mean()),
        true,
        slope,
        gap,
        float(loss),
        auc(rows.converted, p),
    ]


def pooled(parts: list[Predicted]) -> Predicted:
    """Return several folds' rows as one."""
    true = None
    if parts[0].true is not None:
        true = np.concatenate([part.true for part in parts if part.true is not None])
    return Predicted(
        np.concatenate([part.p for part in parts]),
        np.concatenate([part.converted for part in parts]),
        true,
    )


def made(own_share: float, seed: int) -> tuple[AccountView, dict[int, dict[str, Predicted]]]:
    """Return accounts whose leads share shocks, and have ones of their own, with their true p.

    Nothing is learnt of leads here: only the own share is, from 500 accounts; 20,000 are judged.
    """
    rng = np.random.default_rng(seed)
    n = 20_500
    accounts = np.repeat(np.arange(n), rng.integers(2, 7, n))
    hazard = rng.gamma(0.7, 0.12, n)[accounts] * rng.lognormal(-0.3, 0.8, len(accounts))
    shared = rng.exponential(size=n)[accounts] < (1 - own_share) * hazard
    own = rng.exponential(size=len(accounts)) < own_share * hazard
    converted = (shared | own).astype(float)
    p = np.clip(-np.expm1(-hazard), 1e-6, 1 - 1e-6)
    known = accounts < 500
    evidence = account_evidence(
        p[known], converted[known], accounts[known], np.zeros(known.sum(), dtype=np.int64)
    )
    view = fit_account_view({90: evidence}, primary=90)
    judged = accounts[~known] - 500
    came = (np.bincount(judged, weights=converted[~known]) > 0).astype(float)

    def by(share: float) -> Floats:
        way = replace(view, own_share=share)
        return account_probabilities(p[~known][:, None], judged, way)[:, 0]

    ways = dict(zip(METHODS, (by(view.own_share), by(0.0), by(1.0)), strict=True))
    true = by(own_share)
    return view, {90: {name: Predicted(q, came, true) for name, q in ways.items()}}


def itself(account: str) -> str:
    """Return the account."""
    return account


def pair(account: str) -> str:
    """Return the name of two neighbouring accounts, the same for both."""
    number = "".join(c for c in account if c.isdigit())
    return f"pair {int(number) // 2}" if account.startswith("A") else account


def world_fold(seed: int, n_leads: int) -> Fold:
    """Simulate a world, fit, predict."""
    world = simulate(n_leads=n_leads, seed=seed, name="world")
    with tempfile.TemporaryDirectory() as place:
        write_world(world, Path(place) / "world")
        dataset = load_dataset(Path(place) / "world")
        times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
        return fold(
            dataset, times=times, known_by=KNOWN_BY, test=TESTED, config=QUICK, truth=world.truth
        )


def sample_folds() -> Iterator[Fold]:
    """Yield the folds of the sample's backtest, with the shipped settings."""
    dataset = load_dataset(ROOT / "data" / "sample")
    config = read_settings(ROOT / "models" / "conversion.toml", LearnerConfig)
    times = as_of_times(cohort_span(dataset), dataset.config.cohort.every_days)
    longest = dataset.config.conversion.horizons_days[-1]
    truth = pl.read_parquet(ROOT / "data" / "sample" / "truth.parquet")
    first = dataset.config.backtest.first_test
    assert first is not None
    for split in _splits(times, first, dataset):
        over = [t for t in split.test if t + timedelta(days=longest) <= dataset.data_cutoff]
        yield fold(
            dataset, times=times, known_by=split.known_by, test=over, config=config, truth=truth
        )


def table(by_set: Mapping[str, list[tuple[AccountView, dict[int, dict[str, Predicted]]]]]) -> str:
    """Return the figures as Markdown; of worlds the mean ± the spread between them."""
    head = ["data", "days", "way", "own share", "predicted", "came", "true"]
    head += ["slope", "gap", "log loss", "AUC"]
    lines = [head, ["---"] * 3 + ["---:"] * (len(head) - 3)]
    for name, found in by_set.items():
        for days in found[0][1]:
            for way in METHODS:
                parts = [of_days[days][way] for _, of_days in found]
                if name == "sample":
                    parts = [pooled(parts)]
                each = np.array([figures(part) for part in parts])
                mean = each.mean(axis=0)
                spread = each.std(axis=0, ddof=1) if len(each) > 1 else np.zeros(each.shape[1])
                shown = [f"{m:.1%}" for m in mean[:3]]
                shown.append(f"{mean[3]:.2f}" + (f" ± {spread[3]:.2f}" if len(each) > 1 else ""))
                shown += [f"{100 * mean[4]:.2f}", f"{mean[5]:.4f}", f"{mean[6]:.3f}"]
                share = np.mean([view.own_share for view, _ in found])
                own = f"{share:.0%}" if way == "account view" else ""
                lines.append([name, str(days), way, own, *shown])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    """Measure, print the table, write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=5, help="0: none")
    parser.add_argument("--first", type=int, default=11, help="first seed")
    parser.add_argument("--leads", type=int, default=2500)
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    os.nice(5)
    os.environ |= {"OMP_WAIT_POLICY": "PASSIVE"}
    by_set: dict[str, list[tuple[AccountView, dict[int, dict[str, Predicted]]]]] = {}
    started = time.monotonic()
    for seed in range(given.first, given.first + given.worlds):
        found = world_fold(seed, given.leads)
        by_set.setdefault("worlds", []).append(put_together(found, itself))
        by_set.setdefault("pairs", []).append(put_together(found, pair))
        shares = [by_set[name][-1][0].own_share for name in ("worlds", "pairs")]
        sys.stderr.write(f"{time.monotonic() - started:7.1f} s  world {seed}: {shares}\n")
    if given.sample:
        for found in sample_folds():
            by_set.setdefault("sample", []).append(put_together(found, itself))
            view = by_set["sample"][-1][0]
            sys.stderr.write(f"{time.monotonic() - started:7.1f} s  sample: {view}\n")
    for share in (0.3, 0.7):
        by_set[f"made, {share:.0%} own"] = [made(share, seed) for seed in range(1, 6)]
    text = table(by_set)
    sys.stdout.write(f"{text}\n")
    if given.write:
        write_sections(given.write, {"account-figures": text})
    return 0


if __name__ == "__main__":
    sys.exit(main())
