"""What is undone leaves no trace, and nothing that a lead does makes its chance certain."""

import functools
import random
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intentcast.config import LearnerConfig, parse_settings
from intentcast.histories import EngagementEvent, history_from_dataset
from intentcast.propensity.horizons import predict_horizons
from intentcast.scoring import Unpackaged, answer_history, predict
from intentcast.snapshots import Span, as_of_times, build_snapshots
from intentcast.training import fit_model
from tests import fixtures_world
from tests.conftest import DAY, START, WORLD_SETTINGS, outcome, world

KNOWN_BY = START + 110 * DAY
AS_OF = START + 80 * DAY
TIMES = as_of_times(Span(START + 20 * DAY, AS_OF, is_stated=True), 5)
BASE = world(5, n_leads=90)
SMALL = {
    "min_converted": 4,
    "features": {"half_lives_days": [3, 45], "windows_days": [7, 30], "clustered_themes": 2},
    "booster": {"rounds": 20, "min_data_in_leaf": 5},
    "hazard": {"rounds": 20},
    "logistic": {"inverse_penalties": [0.01, 0.1]},
    "calibration": {"min_converted": 4},
}


@pytest.fixture(scope="module")
def load(make_dataset):
    """Return a function: the small world's tables, some replaced, written to files and read."""
    return functools.partial(make_dataset, settings=WORLD_SETTINGS, suffix=".parquet")


def fitted(dataset, *, without=()):
    """Return what a bundle would predict with."""
    told = {**SMALL, "features": {**SMALL["features"], "without": list(without)}}
    config = parse_settings(told, LearnerConfig, source="test")
    model = fit_model(dataset, times=TIMES, known_by=KNOWN_BY, config=config)
    return Unpackaged(model.featurizer, model.champion, dataset.config)


def scored(model, dataset):
    """Return who is scored at `AS_OF`, and the bits of features, probabilities and intervals."""
    snapshots = build_snapshots(dataset, [AS_OF])
    features, found = predict(model, dataset, snapshots)
    parts = (features, found.probabilities, found.low, found.high)
    return snapshots.rows(), [part.tobytes() for part in parts]


@pytest.fixture(scope="module")
def model(load):
    return fitted(load(**BASE))


@pytest.fixture(scope="module")
def before(model, load):
    found = scored(model, load(**BASE))
    assert len(found[0]) > 30
    return found


@settings(max_examples=15)
@given(
    closed=st.lists(
        st.tuples(
            st.sampled_from([row["lead_id"] for row in BASE["leads"]]),
            st.sampled_from(["won", "lost"]),
            st.integers(1, 200),
        ),
        min_size=1,
        max_size=6,
    ),
    seed=st.integers(0, 99),
)
def test_closed_and_reopened_restores_features_and_scores(model, before, load, closed, seed):
    """Between, the lead is no longer scored, and its colleagues know of it."""
    more = [outcome(lead, AS_OF - n * DAY / 4, name) for lead, name, n in closed]
    during = load(**{**BASE, "outcomes": BASE["outcomes"] + more})
    still_scored = {row[0] for row in scored(model, during)[0]}
    assert not still_scored & {lead for lead, _, _ in closed}
    # Reopened: the rows are taken away again, the others come in whatever order.
    rest = random.Random(seed).sample(BASE["outcomes"], len(BASE["outcomes"]))
    assert scored(model, load(**{**BASE, "outcomes": rest})) == before


def test_a_colleagues_conversion_is_seen_while_it_stands(model, before, load):
    """What is restored above had changed."""
    [lead] = [
        row["lead_id"]
        for row in BASE["leads"]
        if row["account_id"] == "A005" and row["lead_id"] in {s[0] for s in before[0]}
    ][:1]
    won = [*BASE["outcomes"], outcome(lead, AS_OF - DAY)]
    rows, bits = scored(model, load(**{**BASE, "outcomes": won}))
    kept = [row for row in before[0] if row[0] != lead]
    assert rows == kept
    width = len(before[1][0]) // len(before[0])
    at = [row[0] for row in before[0]].index(lead)
    without = before[1][0][: at * width] + before[1][0][(at + 1) * width :]
    assert bits[0] != without


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_the_order_in_which_outcomes_were_recorded_does_not_matter(model, load, seed):
    """Once all of them are known, it is the same who was closed first."""
    rng = random.Random(seed)
    known = [row for row in BASE["outcomes"] if row["occurred_at"] < AS_OF - DAY]
    assert len(known) > 10

    def recorded(row, share):
        return {**row, "recorded_at": row["occurred_at"] + (AS_OF - row["occurred_at"]) * share}

    rows = [recorded(row, 0.5) for row in known]
    others = [recorded(row, rng.random() * 0.99) for row in rng.sample(known, len(known))]
    one, other = (load(**{**BASE, "outcomes": part}) for part in (rows, others))
    assert scored(model, one) == scored(model, other)


def test_a_family_left_out_and_taken_back_gives_the_same_scores(load):
    dataset = load(**BASE)
    first, without, again = (
        scored(fitted(dataset, without=left_out), dataset)
        for left_out in ((), ("coherence", "recency"), ())
    )
    assert again == first
    assert without[0] == first[0]
    assert without[1][1] != first[1][1]


# On the bundle of the larger world.


@functools.cache
def lively_history():
    snapshots = fixtures_world.world_snapshots()
    events = fixtures_world.world().events.filter(pl.col("known_at") < fixtures_world.AS_OF)
    counts = events.join(snapshots, on="lead_id").group_by("lead_id").len()
    lead = counts.sort("len", "lead_id", descending=[True, False])["lead_id"][0]
    return history_from_dataset(fixtures_world.world(), snapshots.filter(pl.col("lead_id") == lead))


words = st.text(min_size=1, max_size=20).filter(lambda text: text.strip() == text)


@settings(max_examples=8)
@given(kind=words, channel=words, content=words, level=words, count=st.integers(1, 60))
@pytest.mark.parametrize("step", ["logistic", "hazard"])
def test_a_value_never_seen_is_finite_and_flagged(step, kind, channel, content, level, count):
    history = lively_history()
    odd = [
        EngagementEvent(
            lead_id=history.lead_id,
            occurred_at=history.as_of - DAY * (i + 1) / 10,
            event_type=f"new {kind}",
            channel=f"new {channel}",
            content=f"zq{content}",
        )
        for i in range(count)
    ]
    told = {**dict(history.attributes), "industry": f"new {level}"}
    seen = replace(history, events=(*history.events, *odd), attributes=told)
    answer = answer_history(fixtures_world.bundle(step), seen, explain=False)
    for row in answer["probabilities"]:
        assert 0 < row["low"] <= row["probability"] <= row["high"] < 1
    assert (
        f"{count} events of event types not seen in training, counted as other"
        in (answer["warnings"])
    )
    assert (
        f"{count} events of channels not seen in training, counted as other" in (answer["warnings"])
    )
    [odd_attributes] = [text for text in answer["warnings"] if "of a value not learnt" in text]
    assert "industry" in odd_attributes
    assert not any(f"new {text}" in odd_attributes for text in (kind, channel, level))


@pytest.mark.parametrize("step", ["logistic", "lightgbm", "hazard", "blend"])
def test_no_feature_however_extreme_makes_a_probability_0_or_1(step):
    models = fixtures_world.trained_as(step).champion
    n = len(fixtures_world.trained().featurizer.spec.names)
    rng = np.random.default_rng(1)
    extremes = np.vstack(
        [
            np.full((1, n), value) for value in (0.0, -1.0, np.nan, 1e300, -1e300, np.inf)
        ]
        + [rng.choice([0.0, 1.0, 1e9, -1e9, np.nan, 1e300], (200, n))]
    )  # fmt: skip
    found = predict_horizons(models, extremes, [1, 15, 30, 60, 90])
    for part in (found.probabilities, found.low, found.high):
        assert np.isfinite(part).all()
        assert ((part > 0) & (part < 1)).all()
