"""The ladder: judged on later rows that no predicting model has seen, or refused."""

from dataclasses import replace

import numpy as np
import pytest

from intentcast.config import LearnerConfig, parse_settings
from intentcast.errors import RefusedError
from intentcast.propensity import STEPS, TrainingRows
from intentcast.propensity import fit_ladder as fit_ladder_with
from intentcast.propensity.booster import fit_booster
from intentcast.propensity.ladder import later_slice
from intentcast.propensity.logistic import fit_logistic
from intentcast.propensity.margins import sigmoid

DAY_US = 86_400_000_000
NAMES = ["a.count.any.7d", "b.count.any.7d", "c.count.any.7d"]
HORIZON = 30


def config(**changes):
    settings = {
        "booster": {
            "rounds": 40,
            "min_data_in_leaf": 10,
            "learning_rate": 0.1,
            "feature_fraction": 1,
        },
        "logistic": {"inverse_penalties": [0.1]},
        "calibration": {"min_converted": 20},
    }
    return parse_settings({**settings, **changes}, LearnerConfig, source="test")


def fit_ladder(rows, settings):
    """Fit with the configured penalties."""
    return fit_ladder_with(rows, settings, penalties=settings.logistic.inverse_penalties)


def drawn(kind="sum", *, n_accounts=150, weeks=20, seed=1):
    """Return rows of weekly snapshots whose conversions follow a sum or an interaction."""
    rng = np.random.default_rng(seed)
    n = n_accounts * weeks
    features = rng.normal(size=(n, 3))
    is_likely = (features[:, 0] > 0) == (features[:, 1] > 0)
    log_odds = {
        "sum": -1.0 + 1.2 * features[:, 0] - 0.8 * features[:, 1],
        "interaction": np.where(is_likely, 1.5, -2.5),
    }[kind]
    return TrainingRows(
        features=features,
        names=NAMES,
        converted=(rng.random(n) < sigmoid(log_odds)).astype(float),
        times=np.repeat(np.arange(weeks, dtype=np.int64) * 7 * DAY_US, n_accounts),
        clusters=np.tile(np.arange(n_accounts, dtype=np.int64), weeks),
        horizon_days=HORIZON,
    )


def fitted_apart(rows, step, settings):
    """Fit one step on the given rows, outside the ladder."""
    if step == "logistic":
        (penalty,) = settings.logistic.inverse_penalties
        return fit_logistic(rows.features, rows.converted, names=NAMES, inverse_penalty=penalty)
    return fit_booster(
        rows.features, rows.converted, names=NAMES, settings=settings.booster, seed=settings.seed
    )


def same_model(one, other):
    if hasattr(one, "text"):
        return one.text == other.text
    return one.to_json() == other.to_json()


@pytest.fixture(scope="module", params=["sum", "interaction"])
def climbed(request):
    rows = drawn(request.param)
    return request.param, rows, fit_ladder(rows, config())


def test_a_sum_is_for_the_regression_and_an_interaction_for_trees(climbed):
    kind, _, fitted = climbed
    assert fitted.champion == {"sum": "logistic", "interaction": "lightgbm"}[kind]


def test_the_choice_is_the_least_log_loss_out_of_sample_and_says_so(climbed):
    _, rows, fitted = climbed
    assert fitted.champion == min(STEPS, key=fitted.log_loss.__getitem__)
    sample = fitted.out_of_sample
    y, p = rows.converted[sample.rows], sigmoid(sample.margins)
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    assert fitted.log_loss[fitted.champion] == pytest.approx(loss, abs=1e-12)
    assert fitted.reason.startswith(f"{fitted.champion} had the lower log loss out of sample")
    assert f"{loss:.4f}" in fitted.reason
    assert f"later slice, {len(sample.rows):,} snapshots" in fitted.reason


def test_the_later_slice_is_predicted_by_a_model_of_rows_whose_horizon_was_over(climbed):
    _, rows, fitted = climbed
    start = 15 * 7 * DAY_US  # the last quarter of 20 weeks
    assert fitted.out_of_sample.scheme == "later slice"
    np.testing.assert_array_equal(fitted.out_of_sample.rows, np.flatnonzero(rows.times >= start))
    earlier = rows.where(rows.times + HORIZON * DAY_US <= start)
    alone = fitted_apart(earlier, fitted.champion, config())
    expected = alone.margins(rows.features[rows.times >= start])
    assert fitted.out_of_sample.margins.tobytes() == expected.tobytes()


@pytest.mark.parametrize("part", ["later", "between"])
def test_labels_of_the_slice_and_of_the_embargo_do_not_reach_its_predictions(climbed, part):
    _, rows, fitted = climbed
    start = 15 * 7 * DAY_US
    is_between = (rows.times + HORIZON * DAY_US > start) & (rows.times < start)
    mask = is_between if part == "between" else rows.times >= start
    rng = np.random.default_rng(3)
    flipped = np.where(mask & (rng.random(len(rows)) < 0.03), 1 - rows.converted, rows.converted)
    assert (flipped != rows.converted).sum() > 10
    again = fit_ladder(replace(rows, converted=flipped), config())
    assert again.champion == fitted.champion
    assert again.out_of_sample.margins.tobytes() == fitted.out_of_sample.margins.tobytes()


def test_what_is_kept_learns_from_all_rows(climbed):
    _, rows, fitted = climbed
    for step in STEPS:
        assert same_model(fitted.models[step].learner, fitted_apart(rows, step, config()))
        assert fitted.models[step].horizon_days == HORIZON


def test_a_horizon_that_ends_exactly_at_the_slice_still_teaches():
    rows = replace(drawn(), horizon_days=28)
    fitted = fit_ladder(rows, config())
    start = 15 * 7 * DAY_US
    earlier = rows.where(rows.times <= start - 28 * DAY_US)
    alone = fitted_apart(earlier, fitted.champion, config())
    expected = alone.margins(rows.features[rows.times >= start])
    assert fitted.out_of_sample.margins.tobytes() == expected.tobytes()


def test_probabilities_are_the_same_bits_alone_and_in_a_batch(climbed):
    _, rows, fitted = climbed
    for model in fitted.models.values():
        p = model.probabilities(rows.features)
        low, high = model.interval(rows.features)
        assert ((low <= p) & (p <= high)).all()
        for i in (0, 17, 999):
            assert model.probabilities(rows.features[i : i + 1])[0] == p[i]


def test_the_penalty_is_the_one_that_does_best_out_of_sample():
    rows = drawn()
    penalties = [1e-6, 0.1]
    both = fit_ladder(rows, config(logistic={"inverse_penalties": penalties}))
    alone = [fit_ladder(rows, config(logistic={"inverse_penalties": [p]})) for p in penalties]
    losses = [fitted.log_loss["logistic"] for fitted in alone]
    best = alone[int(np.argmin(losses))]
    assert both.log_loss["logistic"] == min(losses)
    assert both.penalty == penalties[int(np.argmin(losses))]
    assert same_model(both.models["logistic"].learner, best.models["logistic"].learner)


def test_penalties_that_are_given_are_tried_instead_of_the_configured():
    rows = drawn()
    given = fit_ladder_with(rows, config(), penalties=[0.003])
    configured = fit_ladder(rows, config(logistic={"inverse_penalties": [0.003]}))
    assert given.penalty == 0.003
    assert same_model(given.models["logistic"].learner, configured.models["logistic"].learner)
    assert fit_ladder_with(rows, config(), penalties=()).penalty == 0.1


# Too little time


@pytest.mark.parametrize("weeks", [1, 4])
def test_where_time_is_short_accounts_are_held_out_instead(weeks):
    rows = drawn(n_accounts=600 // weeks, weeks=weeks)
    assert later_slice(rows, config()) is None
    fitted = fit_ladder(rows, config())
    assert fitted.out_of_sample.scheme == "account folds"
    assert "account folds" in fitted.reason
    np.testing.assert_array_equal(fitted.out_of_sample.rows, np.arange(len(rows)))
    for group in range(5):
        held_out = rows.clusters % 5 == group
        alone = fitted_apart(rows.where(~held_out), fitted.champion, config())
        expected = alone.margins(rows.features[held_out])
        assert fitted.out_of_sample.margins[held_out].tobytes() == expected.tobytes()


def test_a_slice_with_too_few_conversions_is_not_used():
    rows = drawn()
    quiet = replace(rows, converted=np.where(rows.times >= 15 * 7 * DAY_US, 0.0, rows.converted))
    assert later_slice(rows, config()) is not None
    assert later_slice(quiet, config()) is None


# Refusals


@pytest.mark.parametrize("n_converted", [0, 1, 19])
def test_too_few_conversions_are_refused(n_converted):
    rows = drawn(n_accounts=30, weeks=10)
    rows = replace(rows, converted=(np.arange(len(rows)) < n_converted).astype(float))
    with pytest.raises(
        RefusedError,
        match=rf"{n_converted} of 300 training snapshots converted within 30 days.*at least 20",
    ):
        fit_ladder(rows, config())


def test_nothing_but_conversions_is_refused():
    rows = drawn(n_accounts=30, weeks=10)
    with pytest.raises(RefusedError, match=r"300 of 300 training snapshots converted"):
        fit_ladder(replace(rows, converted=np.ones(len(rows))), config())


def test_conversions_of_one_account_only_are_refused():
    rows = drawn(n_accounts=10, weeks=40)
    one = replace(rows, converted=((rows.clusters == 3) & (rows.times >= 0)).astype(float))
    with pytest.raises(RefusedError, match=r"one fifth of the accounts only .*more accounts"):
        fit_ladder(one, config(calibration={"min_converted": 200}))


def test_one_account_alone_is_refused():
    rows = drawn(n_accounts=1, weeks=300)
    with pytest.raises(RefusedError, match=r"one fifth of the accounts only"):
        fit_ladder(rows, config(calibration={"min_converted": 200}))


def test_no_rows_are_refused():
    rows = drawn(n_accounts=1, weeks=1).where(np.array([False]))
    with pytest.raises(RefusedError, match=r"0 of 0 training snapshots"):
        fit_ladder(rows, config())
