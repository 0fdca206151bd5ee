"""The order of rows, the hash seed and the number of threads decide nothing."""

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intentcast.config import FeatureSettings, parse_settings
from intentcast.config import LearnerConfig as Learner
from intentcast.features import fit_featurizer
from intentcast.labels import label_periods, label_snapshots
from intentcast.propensity import CONTENDERS, Followed, TrainingRows, fit_ladder
from intentcast.snapshots import Span, as_of_times, build_snapshots
from intentcast.sources import load_dataset
from tests.conftest import DAY, START, WORLD_SETTINGS, world, write_dataset

ROOT = Path(__file__).parents[2]
KNOWN_BY = START + 110 * DAY
TIMES = as_of_times(Span(START + 20 * DAY, START + 80 * DAY, is_stated=True), 5)
EDGES = (0, 15, 30)
SMALL = FeatureSettings(half_lives_days=(3.0, 45.0), windows_days=(7, 30), clustered_themes=2)
LEARNER = {
    "min_converted": 4,
    "booster": {"rounds": 20, "min_data_in_leaf": 5},
    "hazard": {"rounds": 20},
    "logistic": {"inverse_penalties": [0.01, 0.1]},
    "calibration": {"min_converted": 4},
}


def digest(*parts):
    """Return a hash of arrays, frames and JSON values."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, pl.DataFrame):
            part = [part.columns, [[str(value) for value in row] for row in part.rows()]]
        is_array = isinstance(part, np.ndarray)
        found.update(part.tobytes() if is_array else json.dumps(part).encode())
    return found.hexdigest()


def computed(folder, *, threads=1):
    """Return a hash of everything computed before the models, and of the models."""
    dataset = load_dataset(folder)
    snapshots = build_snapshots(dataset, TIMES)
    featurizer = fit_featurizer(dataset, known_by=KNOWN_BY, settings=SMALL, seed=7)
    matrix = featurizer.transform(dataset, snapshots)
    labels = label_snapshots(snapshots, dataset, horizon_days=30, known_by=KNOWN_BY)
    themes = featurizer.themes
    counts = [(q.table, q.n_rows, q.n_duplicates, q.rule_counts()) for q in dataset.quarantined]
    out = {
        "tables": digest(dataset.leads, dataset.events, dataset.outcomes, counts),
        "snapshots": digest(snapshots),
        "labels": digest(labels.to_list()),
        "specification": digest(featurizer.spec.to_json()),
        "themes": digest(themes.names, themes.vocabulary, themes.centroids, themes.examples),
        "features": digest(matrix.names, matrix.values),
    }
    if threads:
        periods = label_periods(snapshots, dataset, edges_days=EDGES, known_by=KNOWN_BY)
        out |= models(snapshots, matrix, labels, periods, threads)
    return out


def models(snapshots, matrix, labels, periods, threads):
    mature = labels.is_not_null().to_numpy()
    config = parse_settings({**LEARNER, "threads": threads}, Learner, source="test")
    accounts = snapshots["account_id"].rank("dense").cast(pl.Int64).to_numpy()
    rows = TrainingRows(
        features=matrix.doubles[mature],
        names=matrix.names,
        converted=labels.drop_nulls().cast(pl.Float64).to_numpy(),
        times=snapshots["as_of"].dt.timestamp("us").to_numpy()[mature],
        clusters=accounts[mature],
        horizon_days=30,
    )
    followed = Followed(
        features=matrix.values,
        names=matrix.names,
        n_over=periods["n_over"].cast(pl.Int64).to_numpy(),
        converted_in=periods["converted_in"].cast(pl.Int64).to_numpy(),
        times=snapshots["as_of"].dt.timestamp("us").to_numpy(),
        leads=snapshots["lead_id"].rank("dense").cast(pl.Int64).to_numpy(),
        clusters=accounts,
        edges_days=EDGES,
    )
    fitted = fit_ladder({30: rows}, followed, primary=30, config=config, contenders=CONTENDERS)[30]
    logistic, booster, at = (fitted.models[s] for s in ("logistic", "lightgbm", "hazard"))
    hazard = at.learner.hazard
    return {
        "hazard": digest(hazard.text, hazard.to_json(), at.calibrator.to_json()),
        "logistic": digest(logistic.learner.to_json(), logistic.calibrator.to_json()),
        "lightgbm": digest(booster.learner.text, booster.calibrator.to_json()),
        "choice": digest(fitted.champion, dict(fitted.log_loss), fitted.reason),
    }


def shuffled(tables, seed):
    rng = random.Random(seed)
    return {name: rng.sample(rows, len(rows)) for name, rows in tables.items()}


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), suffix=st.sampled_from([".csv", ".parquet"]))
def test_shuffled_rows_give_the_same_bits(new_folder, seed, suffix):
    tables = world(11, n_leads=14)
    # A lead twice, with another creation: which of the two stays must not depend on the order.
    tables["leads"].append({**tables["leads"][0], "created_at": START})
    one, other = (
        write_dataset(new_folder(), **rows, settings=WORLD_SETTINGS, suffix=suffix)
        for rows in (tables, shuffled(tables, seed))
    )
    assert computed(one, threads=0) == computed(other, threads=0)


@pytest.fixture(scope="module")
def tables():
    return world(5, n_leads=90)


def run_apart(folder, *, hash_seed, threads):
    """Start the computation in a process of its own."""
    environment = {
        **os.environ,
        "PYTHONHASHSEED": str(hash_seed),
        "POLARS_MAX_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "NUMBA_NUM_THREADS": str(threads),
        "PYTHONPATH": str(ROOT),
    }
    code = (
        "import json, sys; from pathlib import Path; from tests.properties.test_order import "
        "computed; print(json.dumps(computed(Path(sys.argv[1]), threads=int(sys.argv[2]))))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(threads)],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_order_hash_seed_and_threads_decide_nothing_from_files_to_models(new_folder, tables):
    ordered = write_dataset(new_folder(), **tables, settings=WORLD_SETTINGS)
    disordered = write_dataset(new_folder(), **shuffled(tables, 1), settings=WORLD_SETTINGS)
    runs = [
        run_apart(ordered, hash_seed=0, threads=1),
        run_apart(disordered, hash_seed=1, threads=2),
    ]
    outputs = [run.communicate() for run in runs]
    for run, (_, errors) in zip(runs, outputs, strict=True):
        assert run.returncode == 0, errors
    answers = [json.loads(out) for out, _ in outputs]
    assert answers[0] == answers[1]
    assert set(answers[0]) >= {"tables", "features", "logistic", "lightgbm", "choice"}
