"""One small simulated world, learnt from once per test process; tests only read what is here."""

import atexit
import functools
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from intentcast.config import (
    BoosterSettings,
    FeatureSettings,
    LearnerConfig,
    LogisticSettings,
    read_settings,
)
from intentcast.evaluation.backtest import run_backtest
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

CONFIG = LearnerConfig(
    max_rows=4000,
    features=FeatureSettings(half_lives_days=(7, 30), windows_days=(7, 14, 30), clustered_themes=4),
    booster=BoosterSettings(rounds=40),
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
[logistic]
inverse_penalties = [0.003, 0.03]
"""
EVERY_DAYS = 14
HORIZONS = (30, 90)
CREATED = datetime(2026, 1, 2, 9, tzinfo=UTC)
AS_OF = datetime(2025, 12, 15, tzinfo=UTC)


@functools.cache
def place():
    """A folder for this process alone, removed when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="intentcast-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def world_folder():
    """The small world as a data set folder: 1,200 leads, two horizons, two folds."""
    folder = place() / "small"
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
    return folder


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


def pack(model, out, *, created=CREATED):
    """Write a bundle of the small world."""
    return package(
        model,
        world(),
        handoff=handoff_settings(),
        scorecard=dataset_scorecards(world())[0],
        metrics={"n_snapshots": model.n_snapshots},
        created=created,
        out=out,
        settings=CONFIG,
    )


@functools.cache
def bundle_folder(step):
    """A bundle of each step; never written to."""
    return pack(trained_as(step), place() / f"bundles-{step}")


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


@functools.cache
def backtested():
    return run_backtest(world(), config=CONFIG, scorecards=scorecards())


def shuffled_copy(out, *, seed):
    """The small world with the rows of every table in another order."""
    shutil.copytree(world_folder(), out)
    for path in out.glob("*.parquet"):
        pl.read_parquet(path).sample(fraction=1.0, shuffle=True, seed=seed).write_parquet(path)
    return out
