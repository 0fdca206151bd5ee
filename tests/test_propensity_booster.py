"""LightGBM: one text for the same rows, and the same bits wherever a lead is scored."""

import subprocess
import sys

import numpy as np
import pytest

from intentcast.config import BoosterSettings
from intentcast.propensity import BoosterModel
from intentcast.propensity.booster import fit_booster
from intentcast.propensity.margins import sigmoid

NAMES = ["a.count.any.7d", "b.count.any.7d", "fit.value.size.number"]
SETTINGS = BoosterSettings(rounds=60, min_data_in_leaf=10, learning_rate=0.1, feature_fraction=1)


def drawn(n=800):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(n, 3))
    features[rng.random((n, 3)) < 0.1] = np.nan
    # An interaction that no sum of parts can express.
    is_likely = (features[:, 0] > 0) == (features[:, 1] > 0)
    return features, (rng.random(n) < np.where(is_likely, 0.8, 0.2)).astype(float)


def fit(seed=7):
    return fit_booster(*drawn(), names=NAMES, settings=SETTINGS, seed=seed)


@pytest.fixture(scope="module")
def model():
    return fit()


def test_it_learns_an_interaction(model):
    features, converted = drawn()
    p = sigmoid(model.margins(features))
    assert p[converted == 1].mean() > p[converted == 0].mean() + 0.2


def test_the_same_rows_give_the_same_text(model):
    assert fit().text == model.text
    assert fit(seed=8).text != model.text


def test_the_text_names_the_features_and_nothing_of_the_machine(model):
    assert f"feature_names={' '.join(NAMES)}\n" in model.text
    assert "[num_threads: 1]" in model.text


def test_a_model_read_from_its_text_gives_the_same_bits(model):
    features, _ = drawn()
    again = BoosterModel(model.text)
    assert again.margins(features).tobytes() == model.margins(features).tobytes()


def test_a_lead_has_the_same_bits_alone_and_in_any_batch(model):
    features, _ = drawn()
    margins, parts = model.margins(features), model.contributions(features)
    for i in range(0, len(features), 37):
        row = features[i : i + 1]
        assert model.margins(row).tobytes() == margins[i : i + 1].tobytes()
        assert model.contributions(row).tobytes() == parts[i : i + 1].tobytes()
    part = features[100:300]
    assert model.margins(part).tobytes() == margins[100:300].tobytes()
    assert model.margins(np.asfortranarray(part)).tobytes() == margins[100:300].tobytes()


def test_contributions_add_up_to_the_margin(model):
    features, _ = drawn()
    parts = model.contributions(features)
    assert parts.shape == (len(features), len(NAMES) + 1)
    np.testing.assert_allclose(parts.sum(axis=1), model.margins(features), rtol=0, atol=1e-9)


def test_features_that_are_all_unknown_have_a_margin(model):
    assert np.isfinite(model.margins(np.full((1, 3), np.nan))).all()


def test_threads_that_start_at_once_in_a_fresh_process_all_get_the_model():
    code = """
import sys, threading
import numpy as np
from intentcast.config import BoosterSettings
from intentcast.propensity.booster import fit_booster

rng = np.random.default_rng(1)
features = rng.normal(size=(200, 2))
converted = (features[:, 0] > 0).astype(float)
settings = BoosterSettings(rounds=3)
texts = []

def fit():
    model = fit_booster(features, converted, names=["a", "b"], settings=settings, seed=1)
    texts.append(model.text)

threads = [threading.Timer(0.05 * i, fit) for i in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(texts) == 6 and len(set(texts)) == 1, len(texts)
assert not {"pandas", "sklearn"} & set(sys.modules), "LightGBM brought them along"
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_its_first_trees_are_what_fewer_rounds_fit(model):
    features, converted = drawn()
    fewer = SETTINGS.model_copy(update={"rounds": 25})
    apart = fit_booster(features, converted, names=NAMES, settings=fewer, seed=7)
    first = model.first(25)
    assert first.margins(features).tobytes() == apart.margins(features).tobytes()
    few = features[:5]
    assert first.contributions(few).tobytes() == apart.contributions(few).tobytes()
    assert model.first(60) is model
