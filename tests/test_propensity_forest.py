"""Trees that are walked here give LightGBM's margins to the bit, and its contributions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intentcast.config import BoosterSettings
from intentcast.propensity.booster import BoosterModel, fit_booster, load_lightgbm
from intentcast.propensity.forest import read_forest
from intentcast.propensity.walks import walk_margins, walk_parts

N_FEATURES, N_INTERVALS = 6, 4
NAMES = [f"a.b.c{i}.d" for i in range(N_FEATURES)]


def drawn(n, seed):
    """Return rows with zeros, NaN and repeats; the last column is an interval's number."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.exponential(3.0, (n, N_FEATURES)), 1)
    x[rng.random(x.shape) < 0.3] = 0.0
    x[rng.random(x.shape) < 0.2] = np.nan
    x[:, -1] = rng.integers(0, N_INTERVALS, n)
    y = np.nan_to_num(x[:, 0]) + 3.0 * np.isnan(x[:, 1]) - x[:, -1] + rng.normal(0, 1, n)
    return x, (y > np.median(y)).astype(np.float64)


@pytest.fixture(scope="module", params=[2, 7, 31])
def model(request):
    settings = BoosterSettings(rounds=30, num_leaves=request.param, min_data_in_leaf=5)
    return fit_booster(*drawn(3000, 1), names=NAMES, settings=settings, seed=2)


@pytest.fixture(scope="module")
def theirs(model):
    return load_lightgbm().Booster(model_str=model.text)


def test_margins_are_lightgbms_to_the_bit(model, theirs):
    x, _ = drawn(2000, 9)
    assert model.margins(x).tobytes() == theirs.predict(x, raw_score=True).tobytes()
    assert model.margins(x.astype(np.float32)).tobytes() == (
        theirs.predict(x.astype(np.float32), raw_score=True).tobytes()
    )


def test_a_row_has_the_same_bits_alone_and_in_any_order(model):
    x, _ = drawn(200, 3)
    whole = model.margins(x)
    assert [model.margins(row[None])[0] for row in x] == whole.tolist()
    assert model.margins(x[::-1]).tolist() == whole[::-1].tolist()


def test_intervals_are_the_last_feature(model):
    x, _ = drawn(50, 4)
    by_interval = model.interval_margins(np.ascontiguousarray(x[:, :-1]), N_INTERVALS)
    for k in range(N_INTERVALS):
        x[:, -1] = k
        assert by_interval[:, k].tolist() == model.margins(x).tolist()


def test_contributions_are_lightgbms_and_add_up_to_the_margin(model, theirs):
    x, _ = drawn(100, 5)
    found = model.contributions(x)
    assert np.abs(found - theirs.predict(x, pred_contrib=True)).max() < 1e-12
    assert np.abs(found.sum(axis=1) - model.margins(x)).max() < 1e-12


def test_contributions_by_interval_are_those_of_each_interval_alone(model):
    x, _ = drawn(20, 6)
    for row in x:
        found = model.interval_contributions(row[:-1], N_INTERVALS)
        for k in range(N_INTERVALS):
            alone = np.append(row[:-1], float(k))
            assert np.abs(found[k] - model.contributions(alone[None])[0, :-1]).max() < 1e-15


def test_a_tree_that_is_one_leaf_adds_its_value():
    x, y = drawn(100, 7)
    settings = BoosterSettings(rounds=3, num_leaves=4, min_data_in_leaf=99)
    model = fit_booster(x, y, names=NAMES, settings=settings, seed=2)
    theirs = load_lightgbm().Booster(model_str=model.text)
    assert model.margins(x).tolist() == theirs.predict(x, raw_score=True).tolist()
    assert not model.contributions(x)[:, :-1].any()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1e-36, -1e-36, 1e-35, 2e-35, 1e300])),
        min_size=N_FEATURES,
        max_size=N_FEATURES,
    ),
    st.integers(0, 2),
)
def test_any_number_goes_the_way_that_it_goes_in_lightgbm(values, way):
    model = _missing(way)
    x = np.array([values])
    theirs = load_lightgbm().Booster(model_str=model.text)
    assert model.margins(x).tolist() == theirs.predict(x, raw_score=True).tolist()


_MADE: list[BoosterModel] = []


def _missing(way):
    """Return trees with all three ways of missing, by their text."""
    if not _MADE:
        x, y = drawn(2000, 8)
        lightgbm = load_lightgbm()
        text = ""
        for more in ({"zero_as_missing": True}, {"use_missing": False}, {}):
            data = lightgbm.Dataset(x, y, init_score=np.zeros(len(y)), params=more)
            parameters = {"objective": "binary", "verbosity": -1, "num_leaves": 9, **more}
            text = lightgbm.train(parameters, data, 8).model_to_string()
            _MADE.append(BoosterModel(text))
    return _MADE[way]


def test_a_text_whose_columns_do_not_fit_is_refused(model):
    with pytest.raises(ValueError, match="where"):
        read_forest(model.text.replace("leaf_value=", "leaf_value=1 ", 1))


def test_the_walks_hold_no_lock():
    assert walk_margins.targetoptions["nogil"]
    assert walk_parts.targetoptions["nogil"]
