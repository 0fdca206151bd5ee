"""Too few conversions to learn from: the scorecard's points, as a bundle that answers."""

import functools
from datetime import UTC, datetime

import numpy as np
import pytest

from intentcast.errors import BundleError, RefusedError
from intentcast.scorecards import dataset_scorecards, read_scorecard, score_snapshots
from intentcast.scoring import answer, load_bundle, predict
from intentcast.training import fit_model
from tests.fixtures_world import CONFIG, HORIZONS, pack, world, world_snapshots, world_times

EARLY = datetime(2025, 3, 1, tzinfo=UTC)


def fit(**how):
    config = CONFIG.model_copy(update={"min_converted": 100_000})
    return fit_model(world(), times=world_times(), known_by=EARLY, config=config, **how)


@functools.cache
def card():
    return read_scorecard(dataset_scorecards(world())[0])


@functools.cache
def by_the_rules():
    return fit(scorecard=card())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return load_bundle(pack(by_the_rules(), tmp_path_factory.mktemp("rules")))


def test_without_a_scorecard_it_is_refused_as_before():
    with pytest.raises(RefusedError, match=r"at least 100000 that did .*use a scorecard"):
        fit()


def test_the_bundle_says_that_it_is_the_rules(bundle):
    places = bundle.manifest["models"]
    assert places == {str(d): {"step": "rules", "file": "points.json"} for d in HORIZONS}
    assert "logistic needs about" in by_the_rules().fitted[90].reason


def test_more_points_give_a_greater_probability_and_rise_with_the_horizon(bundle):
    points = score_snapshots(card(), world(), world_snapshots())["score"].to_numpy()
    _, predicted = predict(bundle, world(), world_snapshots())
    p = predicted.probabilities
    order = np.argsort(points, kind="stable")
    assert (np.diff(p[order], axis=0) >= 0).all()
    assert p[:, 1].max() > 2 * p[:, 1].min()
    assert (p[:, 1] >= p[:, 0]).all()
    assert ((p > 0) & (p < 1)).all()


def test_an_answer_has_no_reasons_but_the_ledger(bundle):
    found = answer(bundle, world(), world_snapshots().head(1), explain=True)
    assert found["step"] == "rules"
    assert found["reasons"] == []
    assert found["rules"]["ledger"]


def test_rules_without_their_scorecard_are_refused(tmp_path):
    folder = pack(by_the_rules(), tmp_path, scorecard=None)
    with pytest.raises(BundleError, match=r"points\.json without a scorecard\.toml"):
        load_bundle(folder)
