"""Two small bundles for a server, trained once per session."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from intentcast.config import LearnerConfig, read_settings
from intentcast.handoff import HandoffSettings
from intentcast.packaging import package
from intentcast.propensity import CONTENDERS
from intentcast.scorecards import dataset_scorecards
from intentcast.shipped import shipped
from intentcast.simulation import simulate, write_world
from intentcast.snapshots import as_of_times, cohort_span
from intentcast.sources import Dataset, load_dataset
from intentcast.training import fit_model

QUICK = {
    "max_rows": 1200,
    "features": {"half_lives_days": [14, 45], "windows_days": [14, 30], "clustered_themes": 4},
    "booster": {"rounds": 20},
    "logistic": {"inverse_penalties": [0.003]},
}


class World(NamedTuple):
    """A simulated data set, and two bundles trained on it that answer differently."""

    dataset: Dataset
    boosted: Path
    logistic: Path


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    write_world(simulate(n_leads=1500, seed=5), folder / "data")
    settings = folder / "data" / "dataset.toml"
    settings.write_text(settings.read_text().replace("[30, 60, 90]", "[30, 90]"))
    dataset = load_dataset(folder / "data")
    model = fit_model(
        dataset,
        times=as_of_times(cohort_span(dataset), 28),
        known_by=dataset.data_cutoff,
        config=LearnerConfig.model_validate(QUICK),
        contenders=CONTENDERS,
    )
    handoff = shipped("handoff.toml", in_checkout="models/handoff.toml")
    bundles = [
        package(
            replace(model, fitted={d: replace(f, champion=step) for d, f in model.fitted.items()}),
            dataset,
            handoff=read_settings(handoff, HandoffSettings),
            scorecard=dataset_scorecards(dataset)[0],
            metrics={},
            created=datetime(2026, 1, 2, tzinfo=UTC),
            out=folder / "bundles",
        )
        for step in ("lightgbm", "logistic")
    ]
    return World(dataset, *bundles)
