"""Whatever is recorded at or after an as-of time, nothing computed for it changes by a bit."""

import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intentcast.config import FeatureSettings
from intentcast.features import fit_featurizer
from intentcast.labels import label_snapshots
from intentcast.snapshots import Span, as_of_times, build_snapshots
from tests.conftest import DAY, START, TITLES, WORLD_SETTINGS, event, outcome, world

AS_OF = START + 80 * DAY
SMALL = FeatureSettings(half_lives_days=(3.0, 45.0), windows_days=(7, 30), clustered_themes=2)
TIMES = as_of_times(Span(START + 25 * DAY, AS_OF, is_stated=True), 7)
BASE = world(12, n_leads=20)
NAMES = [row["lead_id"] for row in BASE["leads"]]
ACCOUNTS = [row["account_id"] for row in BASE["accounts"]]
EVENT_IDS = [row["event_id"] for row in BASE["events"] if row["event_id"]]
NEWCOMERS = ["N1", "N2"]


def known_at(row):
    times = (row["recorded_at"], row.get("occurred_at"))
    return max(moment for moment in times if moment is not None)


def everything(make_dataset, tables):
    """Return, as bits, all that is computed from what was known at `AS_OF`."""
    dataset = make_dataset(**tables, settings=WORLD_SETTINGS, suffix=".parquet")
    snapshots = build_snapshots(dataset, [*TIMES, AS_OF])
    featurizer = fit_featurizer(dataset, known_by=AS_OF, settings=SMALL, seed=7)
    matrix = featurizer.transform(dataset, snapshots)
    labels = label_snapshots(snapshots, dataset, horizon_days=30, known_by=AS_OF)
    themes = featurizer.themes
    return {
        "snapshots": snapshots.rows(),
        "specification": featurizer.spec,
        "themes": (themes.names, themes.vocabulary, themes.examples, themes.centroids.tobytes()),
        "features": matrix.values.tobytes(),
        "labels": labels.to_list(),
    }


@pytest.fixture(scope="module")
def before(make_dataset):
    """What is computed from the base alone."""
    found = everything(make_dataset, BASE)
    assert len(found["snapshots"]) > 30
    assert {True, False, None} == set(found["labels"])
    return found


hours = st.integers(0, 24 * 40).map(lambda n: timedelta(hours=n))
# At the as-of time itself, or later.
later = hours.map(lambda delta: AS_OF + delta)
earlier = hours.map(lambda delta: AS_OF - delta)
lead_names = st.sampled_from([*NAMES, *NEWCOMERS])


@st.composite
def future_events(draw):
    """An event that becomes known at or after the as-of time, whenever it occurred."""
    occurred, recorded = draw(
        st.one_of(
            st.tuples(st.one_of(earlier, later), later),
            st.tuples(later, st.none()),
            st.tuples(later, earlier),
        )
    )
    return event(
        draw(lead_names),
        occurred,
        draw(st.sampled_from(["page_view", "demo_request", "new_type"])),
        event_id=draw(st.sampled_from([None, "new", *EVENT_IDS[:20]])),
        content=draw(st.sampled_from([None, "/aaa", "Entirely new words", *TITLES[:4]])),
        channel=draw(st.sampled_from([None, "web", "fax"])),
        value=draw(st.sampled_from([None, 7.5, -1e6])),
        is_machine=draw(st.sampled_from([None, False, True])),
        recorded_at=recorded,
    )


future_outcomes = st.builds(
    lambda name, kind, occurred, recorded: outcome(name, occurred, kind, recorded_at=recorded),
    lead_names,
    st.sampled_from(["won", "lost"]),
    st.one_of(earlier, later),
    later,
)
future_changes = st.builds(
    lambda who, value, recorded: {**who, "value": value, "recorded_at": recorded},
    st.one_of(
        st.sampled_from(NAMES).map(
            lambda name: {"entity": "lead", "entity_id": name, "attribute": "job_title"}
        ),
        st.sampled_from(ACCOUNTS).map(
            lambda name: {"entity": "account", "entity_id": name, "attribute": "employee_count"}
        ),
    ),
    st.sampled_from(["CTO", "4000", None]),
    later,
)


@settings(max_examples=30)
@given(
    events=st.lists(future_events(), max_size=12),
    outcomes=st.lists(future_outcomes, max_size=5),
    changes=st.lists(future_changes, max_size=5),
    born=later,
    accounts=st.tuples(*[st.sampled_from([None, *ACCOUNTS])] * 2),
)
def test_rows_recorded_at_or_after_the_as_of_time_change_nothing(
    make_dataset, before, events, outcomes, changes, born, accounts
):
    leads = [
        {"lead_id": name, "created_at": born, "account_id": account, "job_title": "Wizard"}
        for name, account in zip(NEWCOMERS, accounts, strict=True)
    ]
    added = {
        "leads": leads, "events": events, "outcomes": outcomes, "attribute_changes": changes,
    }  # fmt: skip
    tables = {name: [*rows, *added.get(name, [])] for name, rows in BASE.items()}
    assert everything(make_dataset, tables) == before


CHANGES = {
    "events": {"content": "/changed", "event_type": "other_type", "value": 1e9},
    "outcomes": {"outcome": "lost", "recorded_at": AS_OF},
    "attribute_changes": {"value": "changed", "recorded_at": AS_OF},
}


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_changing_or_losing_rows_recorded_later_changes_nothing(make_dataset, before, seed):
    rng = random.Random(seed)
    tables = dict(BASE)
    for name, change in CHANGES.items():
        tables[name] = []
        for row in BASE[name]:
            fate = rng.choice(["kept", "lost", "changed"])
            if known_at(row) < AS_OF or fate == "kept":
                tables[name].append(row)
            elif fate == "changed":
                tables[name].append({**row, **change})
    assert tables["events"] != BASE["events"]
    assert everything(make_dataset, tables) == before


def test_without_any_later_row_everything_is_the_same(make_dataset, before):
    tables = {
        name: [row for row in BASE[name] if known_at(row) < AS_OF]
        for name in ("events", "outcomes", "attribute_changes")
    }
    tables["leads"] = [row for row in BASE["leads"] if row["created_at"] < AS_OF]
    assert everything(make_dataset, {**BASE, **tables}) == before


def test_a_row_recorded_just_before_the_as_of_time_does_count(make_dataset, before):
    just_before = AS_OF - timedelta(microseconds=1)
    lead_id = before["snapshots"][0][0]
    row = event(lead_id, just_before, recorded_at=just_before, is_machine=False)
    found = everything(make_dataset, {**BASE, "events": [*BASE["events"], row]})
    assert found["features"] != before["features"]
