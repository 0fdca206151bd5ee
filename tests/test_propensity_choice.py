"""The one-standard-error rule, and how many more conversions the next step needs."""

import numpy as np
import pytest

from intentcast.propensity.choice import choose, paired
from intentcast.propensity.margins import logit, sigmoid

STEPS = ("logistic", "hazard", "blend")


def drawn(n, *, noise, seed=1, per_account=1):
    """Return outcomes, accounts and three steps whose log-odds are the truth plus noise."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-1.0, 1.0, n)
    converted = (rng.random(n) < sigmoid(truth)).astype(float)
    margins = {
        step: truth + scale * rng.normal(size=n) for step, scale in zip(STEPS, noise, strict=True)
    }
    return margins, converted, np.arange(n) // per_account


def chosen(n, *, usual=None, **how):
    margins, converted, clusters = drawn(n, **how)
    return choose(margins, converted, clusters, n_converted=int(converted.sum()), usual=usual)


def test_a_step_that_is_clearly_better_is_taken():
    found = chosen(5000, noise=(1.5, 0.1, 1.0))
    assert (found.step, found.best) == ("hazard", "hazard")
    assert found.rival == "blend"
    assert found.more_converted is None
    assert "no sign that blend would do better" in found.reason


def test_one_that_is_better_by_less_than_two_errors_is_not():
    found = chosen(150, noise=(0.65, 0.6, 0.5), seed=9)
    assert found.step == "logistic"
    assert found.best != "logistic"
    assert 0 < found.gain < 2 * found.error
    assert "within two standard errors of the best" in found.reason


def test_the_usual_step_is_kept_while_the_best_is_better_by_less_than_two_errors():
    found = chosen(150, noise=(0.5, 0.6, 0.65), seed=9, usual="blend")
    assert found.best != "blend"
    assert found.step == "blend"
    assert "blend is the usual step within two standard errors of the best" in found.reason
    assert found.rival is None


def test_the_usual_step_is_left_for_one_that_is_clearly_better():
    found = chosen(5000, noise=(1.5, 0.1, 1.0), usual="blend")
    assert found.step == "hazard"
    assert "hazard had the least log loss" in found.reason


def test_where_the_usual_step_is_left_the_simplest_of_the_good_ones_is_taken():
    found = chosen(400, noise=(0.2, 0.2, 2.0), seed=3, usual="blend")
    assert found.step == "logistic"


def test_equal_steps_give_the_simplest():
    margins, converted, clusters = drawn(500, noise=(0.5, 0.5, 0.5))
    same = dict.fromkeys(STEPS, margins["logistic"])
    found = choose(same, converted, clusters, n_converted=100)
    assert found.step == "logistic"
    assert found.gain == 0.0


def test_on_the_last_step_nothing_more_is_promised():
    found = chosen(5000, noise=(1.5, 1.5, 0.1))
    assert (found.step, found.rival, found.more_converted) == ("blend", None, None)
    assert "more conversions" not in found.reason


def test_what_is_missing_falls_with_the_square_of_gain_over_error():
    found = chosen(150, noise=(0.65, 0.6, 0.5), seed=9)
    margins, converted, _ = drawn(150, noise=(0.65, 0.6, 0.5), seed=9)
    n = converted.sum()
    expected = n * ((2 * found.error / found.gain) ** 2 - 1)
    assert found.more_converted == pytest.approx(np.ceil(expected))
    assert f"{found.more_converted:,} more conversions" in found.reason
    # With so many copies of the same accounts, the rival is preferred.
    times = int(np.ceil((n + found.more_converted) / n)) + 1
    repeated = {step: np.tile(m, times) for step, m in margins.items()}
    again = choose(
        repeated, np.tile(converted, times), np.arange(150 * times), n_converted=int(n) * times
    )
    assert again.step != "logistic"


def test_a_gain_that_would_need_over_a_hundred_times_the_conversions_gets_no_number():
    """One step's losses differ by 1 either way, and on the mean by next to nothing."""
    n = 400
    converted = np.tile([1.0, 0.0], n // 2)
    up = np.repeat([1.0, -1.0], n // 2)
    hazard = np.where(converted == 1.0, up, -up) + np.where(converted == 1.0, 0.31, -0.31)
    margins = {"logistic": np.zeros(n), "hazard": hazard}
    gain = np.log(2) - np.logaddexp(0.0, -np.where(converted == 1.0, hazard, -hazard)).mean()
    # Move the simpler step so that the other is better by a thousandth only.
    shift = np.exp(np.log(2) - gain + 0.001) - 1.0
    margins["logistic"] = np.where(converted == 1.0, -np.log(shift), np.log(shift))
    found = choose(margins, converted, np.arange(n), n_converted=200)
    assert found.step == "logistic"
    assert found.gain == pytest.approx(0.001, rel=1e-6)
    assert found.error > 20 * found.gain
    assert found.more_converted is None
    assert "hazard would need over 100 times the conversions" in found.reason


def test_rows_of_one_account_are_one_piece_of_evidence():
    rng = np.random.default_rng(2)
    per_account = rng.normal(size=200)
    losses = np.repeat(per_account, 10)
    alone = paired(per_account, np.zeros(200), np.arange(200))
    clustered = paired(losses, np.zeros(2000), np.repeat(np.arange(200), 10))
    assert clustered == pytest.approx(alone)
    naive = paired(losses, np.zeros(2000), np.arange(2000))
    assert clustered > 3 * naive


def test_the_log_loss_is_that_of_the_probabilities():
    margins, converted, clusters = drawn(100, noise=(0.5, 0.6, 0.7))
    found = choose(margins, converted, clusters, n_converted=10)
    p = sigmoid(margins["hazard"])
    np.testing.assert_allclose(logit(p), margins["hazard"], atol=1e-6)
    expected = -np.mean(converted * np.log(p) + (1 - converted) * np.log(1 - p))
    assert found.log_loss["hazard"] == pytest.approx(expected)
