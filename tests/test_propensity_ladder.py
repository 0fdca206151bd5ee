"""The ladder: judged on later rows that no predicting model has seen, or refused."""

from dataclasses import replace

import numpy as np
import pytest

from intentcast.config import LearnerConfig, parse_settings
from intentcast.errors import RefusedError
from intentcast.propensity import CONTENDERS, LADDER, STEPS, Followed, TrainingRows, fit_rules
from intentcast.propensity import fit_ladder as fit_every_horizon
from intentcast.propensity.blend import BlendModel
from intentcast.propensity.booster import fit_booster
from intentcast.propensity.hazard import HazardAt, fit_hazard
from intentcast.propensity.horizons import predict_horizons
from intentcast.propensity.logistic import fit_logistic
from intentcast.propensity.margins import level_shift, sigmoid
from intentcast.propensity.rows import DAY_US, inner_windows
from intentcast.scorecards import Scorecard

NAMES = ["a.count.any.7d", "b.count.any.7d", "c.count.any.7d"]
HORIZON = 30
EDGES = (0, 15, 30)
START = 15 * 7 * DAY_US  # the last quarter of 20 weeks
BEFORE = 10 * 7 * DAY_US  # the quarter before


def config(**changes):
    settings = {
        "booster": {
            "rounds": 40,
            "min_data_in_leaf": 10,
            "learning_rate": 0.1,
            "feature_fraction": 1,
        },
        "hazard": {"rounds": 40},
        "logistic": {"inverse_penalties": [0.1]},
        "calibration": {"min_converted": 20},
    }
    return parse_settings({**settings, **changes}, LearnerConfig, source="test")


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


def followed_of(rows, edges=EDGES, *, all_late=False):
    """Return the same snapshots followed to their horizon; half convert in the first interval."""
    early = (np.arange(len(rows)) % 2 == 0) & (not all_late)
    n = len(edges) - 1
    return Followed(
        features=rows.features,
        names=rows.names,
        n_over=np.full(len(rows), n),
        converted_in=np.where(rows.converted == 1.0, np.where(early, 0, n - 1), n),
        times=rows.times,
        leads=rows.clusters,
        clusters=rows.clusters,
        edges_days=edges,
        delay_us=rows.delay_us,
    )


def fit_ladder(rows, settings, *, contenders=CONTENDERS, all_late=False):
    """Fit one horizon."""
    fitted = fit_every_horizon(
        {rows.horizon_days: rows},
        followed_of(rows, (0, 15, rows.horizon_days), all_late=all_late),
        primary=rows.horizon_days,
        config=settings,
        contenders=contenders,
    )
    return fitted[rows.horizon_days]


def fitted_apart(rows, step, settings, followed=None):
    """Fit one step on the given rows, outside the ladder."""
    if step == "logistic":
        (penalty,) = settings.logistic.inverse_penalties
        return fit_logistic(rows.features, rows.converted, names=NAMES, inverse_penalty=penalty)
    if step == "hazard":
        model = fit_hazard(
            followed, booster=settings.booster, settings=settings.hazard, seed=settings.seed
        )
        return HazardAt(model, rows.horizon_days)
    if step == "blend":
        parts = (fitted_apart(rows, part, settings, followed) for part in ("logistic", "hazard"))
        return BlendModel(*parts)
    return fit_booster(
        rows.features, rows.converted, names=NAMES, settings=settings.booster, seed=settings.seed
    )


def same_model(one, other):
    if isinstance(one, HazardAt):
        one, other = one.hazard, other.hazard
        return one.text == other.text and one.to_json() == other.to_json()
    if hasattr(one, "text"):
        return one.text == other.text
    return one.to_json() == other.to_json()


@pytest.fixture(scope="module", params=["sum", "interaction"])
def climbed(request):
    rows = drawn(request.param)
    return request.param, rows, fit_ladder(rows, config())


def test_a_sum_is_for_the_regression_and_an_interaction_for_trees(climbed):
    kind, _, fitted = climbed
    better, worse = {"sum": ("logistic", "hazard"), "interaction": ("hazard", "logistic")}[kind]
    assert fitted.log_loss[better] < fitted.log_loss[worse]
    # Where only one of the blend's parts knows anything, it is left.
    assert fitted.champion == {"sum": "blend", "interaction": "hazard"}[kind]
    assert tuple(fitted.models) == ("logistic", "hazard", "blend", "lightgbm")


def test_contenders_are_fitted_where_they_are_asked_for():
    fitted = fit_ladder(drawn(), config(), contenders=())
    assert tuple(fitted.models) == LADDER
    assert set(STEPS) == {*LADDER, *CONTENDERS}


def test_the_choice_is_told_with_its_log_loss_and_scheme(climbed):
    _, rows, fitted = climbed
    choice = fitted.choice
    assert fitted.champion == choice.step
    assert f"{fitted.log_loss[fitted.champion]:.4f}" in fitted.reason
    n_judged = int((rows.times >= BEFORE).sum())
    assert fitted.reason.endswith(f"(later slice, {n_judged:,} snapshots)")


def test_each_window_is_predicted_by_a_model_of_what_was_over_when_it_began(climbed):
    _, rows, fitted = climbed
    assert fitted.out_of_sample.scheme == "later slice"
    np.testing.assert_array_equal(fitted.out_of_sample.rows, np.flatnonzero(rows.times >= START))
    known = rows.where(rows.times + HORIZON * DAY_US <= START)
    followed = followed_of(rows).censored_at(START)
    alone = fitted_apart(known, fitted.champion, config(), followed)
    expected = alone.margins(rows.features[rows.times >= START])
    assert fitted.out_of_sample.margins.tobytes() == expected.tobytes()


def test_log_loss_is_that_of_both_windows_at_their_own_level(climbed):
    _, rows, fitted = climbed
    losses = []
    for start, stop in ((BEFORE, START), (START, 2**62)):
        known = rows.where(rows.times + HORIZON * DAY_US <= start)
        alone = fitted_apart(known, "logistic", config())
        here = (rows.times >= start) & (rows.times < stop)
        y, margins = rows.converted[here], alone.margins(rows.features[here])
        p = sigmoid(margins + level_shift(margins, y.sum()))
        assert p.mean() == pytest.approx(y.mean())
        losses.append(-(y * np.log(p) + (1 - y) * np.log(1 - p)))
    assert fitted.log_loss["logistic"] == pytest.approx(np.concatenate(losses).mean(), abs=1e-12)


def test_windows_follow_one_another_and_the_earlier_needs_enough_before_it():
    rows = drawn()
    two = inner_windows(rows, config().calibration)
    assert [(w.start, w.stop) for w in two] == [(BEFORE, START), (START, 2**62)]
    one = inner_windows(rows, config(calibration={"min_converted": 20, "folds": 1}).calibration)
    assert one == two[1:]
    quiet = replace(rows, converted=np.where(rows.times < 6 * 7 * DAY_US, 0.0, rows.converted))
    assert inner_windows(quiet, config().calibration) == two[1:]


def test_a_level_that_moved_does_not_choose_between_learners():
    """Conversions become five times as rare half way; who ranks best is still preferred."""
    rows = drawn("interaction")
    rng = np.random.default_rng(4)
    is_late = rows.times >= 8 * 7 * DAY_US
    rare = replace(rows, converted=rows.converted * (~is_late | (rng.random(len(rows)) < 0.2)))
    fitted = fit_ladder(rare, config())
    assert fitted.champion == "hazard"
    assert max(fitted.log_loss.values()) < 0.45


@pytest.mark.parametrize("part", ["later", "between"])
def test_labels_of_the_slice_and_of_the_embargo_do_not_reach_its_predictions(climbed, part):
    _, rows, fitted = climbed
    is_between = (rows.times + 15 * DAY_US > START) & (rows.times < START)
    mask = is_between if part == "between" else rows.times >= START
    rng = np.random.default_rng(3)
    flipped = np.where(mask & (rng.random(len(rows)) < 0.03), 1 - rows.converted, rows.converted)
    assert (flipped != rows.converted).sum() > 5
    again = fit_ladder(replace(rows, converted=flipped), config())
    assert again.champion == fitted.champion
    assert again.out_of_sample.margins.tobytes() == fitted.out_of_sample.margins.tobytes()


def test_what_is_kept_learns_from_all_rows_with_rounds_for_as_many_conversions(climbed):
    _, rows, fitted = climbed
    whole = followed_of(rows)
    judged = [whole.censored_at(start).n_converted for start in (BEFORE, START)]
    rounds = round(40 * np.sqrt(whole.n_converted / np.mean(judged)))
    assert 50 < rounds < 60
    for step in ("logistic", "lightgbm", "hazard"):
        alone = fitted_apart(rows, step, config(hazard={"rounds": rounds}), whole)
        assert same_model(fitted.models[step].learner, alone)
        assert fitted.models[step].horizon_days == HORIZON
    blend = fitted.models["blend"].learner
    assert same_model(blend.logistic, fitted.models["logistic"].learner)
    assert same_model(blend.hazard, fitted.models["hazard"].learner)


def test_of_several_rounds_those_that_do_best_out_of_sample_are_taken():
    rows = drawn("sum")
    alone = {n: fit_ladder(rows, config(hazard={"rounds": n})) for n in (2, 40, 600)}
    several = fit_ladder(rows, config(hazard={"rounds": list(alone)}))
    loss = {n: fitted.log_loss["blend"] for n, fitted in alone.items()}
    assert several.rounds == min(loss, key=loss.get) == 40
    for step in ("hazard", "blend"):
        assert several.log_loss[step] == alone[40].log_loss[step]
        told = (fit.models[step].learner.margins(rows.features) for fit in (several, alone[40]))
        assert next(told).tobytes() == next(told).tobytes()


def test_a_horizon_that_ends_exactly_at_the_slice_still_teaches():
    rows = replace(drawn(), horizon_days=28)
    fitted = fit_ladder(rows, config())
    known = rows.where(rows.times <= START - 28 * DAY_US)
    followed = followed_of(rows, (0, 15, 28)).censored_at(START)
    alone = fitted_apart(known, fitted.champion, config(), followed)
    expected = alone.margins(rows.features[rows.times >= START])
    assert fitted.out_of_sample.margins.tobytes() == expected.tobytes()


def test_labels_that_the_source_had_not_told_when_a_window_opened_do_not_reach_its_predictions():
    """Of the snapshots five weeks before, the 30 days are over and the six days' delay is not."""
    rows = replace(drawn(), delay_us=6 * DAY_US)
    is_untold = rows.times == START - 35 * DAY_US
    rng = np.random.default_rng(3)
    flipped = np.where(
        is_untold & (rng.random(len(rows)) < 0.3), 1 - rows.converted, rows.converted
    )
    assert (flipped != rows.converted).sum() > 20
    one, other = (
        # The first interval of such a snapshot is told: so nobody converts in it.
        fit_ladder(replace(rows, converted=y), config(), all_late=True)
        for y in (rows.converted, flipped)
    )
    assert one.champion == other.champion
    assert one.out_of_sample.margins.tobytes() == other.out_of_sample.margins.tobytes()
    punctual = (
        fit_ladder(replace(rows, converted=y, delay_us=0), config(), contenders=())
        for y in (rows.converted, flipped)
    )
    assert len({fitted.out_of_sample.margins.tobytes() for fitted in punctual}) == 2


@pytest.mark.parametrize("delay_days", [0, 2, 6])
def test_the_regression_and_the_hazard_model_know_the_same_horizons_at_any_instant(delay_days):
    rows = replace(drawn(n_accounts=3), delay_us=delay_days * DAY_US)
    followed = followed_of(rows)
    for days in range(-1, 200):
        instant = days * DAY_US
        known = followed.censored_at(instant)
        over = known.times[known.n_over == known.n_intervals]
        np.testing.assert_array_equal(rows.times[rows.over_by(instant)], over)


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


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_bit(threads):
    rows = drawn("interaction", n_accounts=60)
    one, other = (fit_ladder(rows, config(threads=n)) for n in (2, threads))
    for step in STEPS:
        if step != "blend":
            assert same_model(one.models[step].learner, other.models[step].learner)
        assert one.models[step].calibrator.to_json() == other.models[step].calibrator.to_json()
    assert one.reason == other.reason


# Several horizons


def two_horizons():
    rows = drawn("interaction")
    shorter = replace(
        rows,
        converted=rows.converted * (np.arange(len(rows)) % 2 == 0),
        horizon_days=15,
    )
    fitted = fit_every_horizon(
        {15: shorter, 30: rows}, followed_of(rows), primary=30, config=config()
    )
    return rows, fitted


@pytest.fixture(scope="module")
def several():
    return two_horizons()


def test_one_step_and_one_hazard_model_serve_every_horizon(several):
    _, fitted = several
    assert {fit.champion for fit in fitted.values()} == {fitted[30].champion}
    assert {fit.reason for fit in fitted.values()} == {fitted[30].reason}
    hazards = [fit.models["hazard"].learner.hazard for fit in fitted.values()]
    assert hazards[0] is hazards[1]


@pytest.mark.parametrize("step", LADDER)
def test_any_horizon_is_answered_rising_and_exact_at_the_learnt(several, step):
    rows, fitted = several
    models = {days: fit.models[step] for days, fit in fitted.items()}
    features = rows.features[:300]
    learnt = predict_horizons(models, features)
    asked = predict_horizons(models, features, [1, 7, 14, 15, 16, 22, 29, 30])
    assert asked.horizons_days == (1, 7, 14, 15, 16, 22, 29, 30)
    for name in ("probabilities", "low", "high"):
        found = getattr(asked, name)
        assert (np.diff(found, axis=1) >= 0).all(), name
        assert (found[:, [3, 7]] == getattr(learnt, name)).all()
        assert ((found > 0) & (found < 1)).all()
    assert (asked.low <= asked.probabilities).all()
    assert (asked.probabilities <= asked.high).all()
    assert (asked.probabilities[:, 0] < 0.2 * asked.probabilities[:, 3]).all()


def test_without_a_hazard_model_the_hazard_between_horizons_is_constant(several):
    rows, fitted = several
    models = {days: fit.models["logistic"] for days, fit in fitted.items()}
    found = predict_horizons(models, rows.features[:50], [5, 15, 20, 30])
    hazard = -np.log1p(-found.probabilities)
    np.testing.assert_allclose(hazard[:, 0], hazard[:, 1] / 3, rtol=1e-9)
    expected = hazard[:, 1] + (hazard[:, 3] - hazard[:, 1]) / 3
    np.testing.assert_allclose(hazard[:, 2], expected, rtol=1e-9)


@pytest.mark.parametrize("days", [0, -5, 31])
def test_a_horizon_that_was_not_learnt_is_refused(several, days):
    rows, fitted = several
    models = {d: fit.models["hazard"] for d, fit in fitted.items()}
    with pytest.raises(RefusedError, match=r"from 1 to 30 days, the longest that was learnt"):
        predict_horizons(models, rows.features[:5], [15, days])


# Too little time


@pytest.mark.parametrize("weeks", [1, 4])
def test_where_time_is_short_accounts_are_held_out_instead(weeks):
    rows = drawn(n_accounts=600 // weeks, weeks=weeks)
    assert inner_windows(rows, config().calibration) == []
    fitted = fit_ladder(rows, config())
    assert fitted.out_of_sample.scheme == "account folds"
    assert "account folds" in fitted.reason
    np.testing.assert_array_equal(fitted.out_of_sample.rows, np.arange(len(rows)))
    followed = followed_of(rows)
    for group in range(5):
        held_out = rows.clusters % 5 == group
        alone = fitted_apart(
            rows.where(~held_out), fitted.champion, config(), followed.where(~held_out)
        )
        expected = alone.margins(rows.features[held_out])
        assert fitted.out_of_sample.margins[held_out].tobytes() == expected.tobytes()


def test_a_slice_with_too_few_conversions_is_not_used():
    rows = drawn()
    quiet = replace(rows, converted=np.where(rows.times >= START, 0.0, rows.converted))
    assert inner_windows(quiet, config().calibration) == []


# Refusals, and the points instead


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


CARD = Scorecard.model_validate(
    {
        "name": "small",
        "classes": {"warm": 10, "hot": 20},
        "behaviours": [{"item": "visit", "event_type": "visit", "points": 1}],
    }
)


def points_rows(n_converted, *, rising=True):
    rng = np.random.default_rng(1)
    points = np.sort(rng.integers(0, 50, 300)).astype(float)
    converted = np.zeros(300)
    converted[-n_converted or 300 :] = 1.0
    if not rising:
        converted = converted[::-1].copy()
    return replace(
        drawn(n_accounts=30, weeks=10),
        features=points[:, None],
        names=["points"],
        converted=converted,
    )


def test_points_are_read_as_probabilities_where_conversions_are_few():
    rows = points_rows(8)
    fitted = fit_rules({30: rows}, CARD, primary=30, config=config(), why="8 of 300")[30]
    assert fitted.champion == "rules"
    assert "logistic needs about 12 more conversions" in fitted.reason
    p = fitted.models["rules"].probabilities(rows.features)
    assert (np.diff(p) >= 0).all()
    assert p.sum() == pytest.approx(8, rel=0.1)
    assert p[-1] > 5 * p[0]


@pytest.mark.parametrize("rows", [points_rows(0), points_rows(8, rising=False)])
def test_points_that_tell_nothing_give_one_small_probability_above_0(rows):
    fitted = fit_rules({30: rows}, CARD, primary=30, config=config(), why="too few")[30]
    p = fitted.models["rules"].probabilities(rows.features)
    assert ((p > 0) & (p < 0.05)).all()


def test_points_cannot_be_told_apart_where_everybody_converted():
    rows = replace(points_rows(8), converted=np.ones(300))
    with pytest.raises(RefusedError, match="all of them converted"):
        fit_rules({30: rows}, CARD, primary=30, config=config(), why="none")
