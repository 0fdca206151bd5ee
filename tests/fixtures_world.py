"""One small simulated world, learnt from once; tests only read what is here.

What can be written to files is made once for all processes of a test run.
"""

import functools
import shutil
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
from pydantic import TypeAdapter

from intentcast.config import (
    BoosterSettings,
    FeatureSettings,
    HazardSettings,
    LearnerConfig,
    LogisticSettings,
    read_settings,
)
from intentcast.evaluation.backtest import BacktestResult, FoldModel, run_backtest
from intentcast.handoff import HandoffSettings
from intentcast.packaging import package
from intentcast.propensity import CONTENDERS
from intentcast.scorecards import dataset_scorecards, read_scorecard
from intentcast.scoring import load_bundle
from intentcast.shipped import shipped
from intentcast.simulation import simulate, write_world
from intentcast.snapshots import as_of_times, cohort_span, snapshots_at
from intentcast.sources import load_dataset
from intentcast.training import fit_model
from tests.shared_place import once, place

CONFIG = LearnerConfig(
    max_rows=4000,
    features=FeatureSettings(half_lives_days=(7, 30), windows_days=(7, 14, 30), clustered_themes=4),
    booster=BoosterSettings(rounds=40),
    hazard=HazardSettings(rounds=(20, 40)),
    logistic=LogisticSettings(inverse_penalties=(0.003, 0.03)),
)
CONFIG_TOML = """\
max_rows = 4000
[features]
half_lives_days = [7, 30]
windows_days = [7, 14, 30]
clustered_themes = 4
[booster]
rounds = 40
[hazard]
rounds = [20, 40]
[logistic]
inverse_penalties = [0.003, 0.03]
"""
STEPS = ("logistic", "lightgbm", "hazard", "blend")
EVERY_DAYS = 14
HORIZONS = (30, 90)
CREATED = datetime(2026, 1, 2, 9, tzinfo=UTC)
AS_OF = datetime(2025, 12, 15, tzinfo=UTC)
__all__ = ["place"]  # many tests import it from here


def _write_world(folder):
    write_world(simulate(n_leads=1200, seed=3, name="small"), folder)
    toml = folder / "dataset.toml"
    text = toml.read_text(encoding="utf-8")
    for old, new in (
        ("[30, 60, 90]", "[30, 90]"),
        ("folds = 4", "folds = 2"),
        ("every_days = 7", f"every_days = {EVERY_DAYS}"),
    ):
        assert old in text
        text = text.replace(old, new)
    toml.write_text(text, encoding="utf-8")


@functools.cache
def world_folder():
    """The small world as a data set folder: 1,200 leads, two horizons, two folds."""
    return once("small", _write_world)


@functools.cache
def world():
    return load_dataset(world_folder())


@functools.cache
def world_times():
    return as_of_times(cohort_span(world()), EVERY_DAYS)


@functools.cache
def trained():
    data = world()
    return fit_model(
        data, times=world_times(), known_by=data.data_cutoff, config=CONFIG, contenders=CONTENDERS
    )


def trained_as(step):
    """The same training with the named step as what would be shipped."""
    model = trained()
    return replace(
        model, fitted={days: replace(fit, champion=step) for days, fit in model.fitted.items()}
    )


@functools.cache
def handoff_settings():
    return read_settings(
        shipped("handoff.toml", in_checkout="models/handoff.toml"), HandoffSettings
    )


@functools.cache
def scorecard_file():
    return dataset_scorecards(world())[0]


def pack(model, out, *, created=CREATED, **chosen):
    """Write a bundle of the small world; `chosen` is of `package`, instead of what is usual."""
    usual = {"scorecard": scorecard_file(), "metrics": {"n_snapshots": model.n_snapshots}}
    settings = {"handoff": handoff_settings(), "settings": CONFIG, **usual, **chosen}
    return package(model, world(), created=created, out=out, **settings)


def _pack_all(folder):
    for step in STEPS:
        pack(trained_as(step), folder / step)
    # Two versions beside each other, as a server has them.
    for step in ("lightgbm", "logistic"):
        pack(trained_as(step), folder / "versions", metrics={})


@functools.cache
def bundles_folder():
    """A folder for each step with its bundle, and `versions` with a boosted and a logistic one."""
    return once("bundles", _pack_all)


@functools.cache
def bundle_folder(step):
    """A bundle of each step; never written to."""
    (folder,) = (bundles_folder() / step).iterdir()
    return folder


@functools.cache
def bundle(step):
    return load_bundle(bundle_folder(step))


@functools.cache
def world_snapshots():
    """The cohort at one late as-of time."""
    return snapshots_at(world(), AS_OF)


@functools.cache
def scorecards():
    return [read_scorecard(path) for path in dataset_scorecards(world())]


_FOLDS = TypeAdapter(list[FoldModel])


def _backtest(folder):
    result = run_backtest(world(), config=CONFIG, scorecards=scorecards())
    result.predictions.write_parquet(folder / "predictions.parquet")
    result.snapshots.write_parquet(folder / "snapshots.parquet")
    (folder / "folds.json").write_bytes(_FOLDS.dump_json(result.folds))
    assert _read_backtest(folder).folds == result.folds


def _read_backtest(folder):
    return BacktestResult(
        dataset=world(),
        predictions=pl.read_parquet(folder / "predictions.parquet"),
        snapshots=pl.read_parquet(folder / "snapshots.parquet"),
        folds=_FOLDS.validate_json((folder / "folds.json").read_bytes()),
        scorecards=scorecards(),
    )


@functools.cache
def backtested():
    """What the backtest of the small world found."""
    return _read_backtest(once("backtest", _backtest))


def shuffled_copy(out, *, seed):
    """The small world with the rows of every table in another order."""
    shutil.copytree(world_folder(), out)
    for path in out.glob("*.parquet"):
        pl.read_parquet(path).sample(fraction=1.0, shuffle=True, seed=seed).write_parquet(path)
    return out
