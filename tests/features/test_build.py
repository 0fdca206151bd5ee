"""Features of snapshots: equal to a reference over what was known, alone or in any batch."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.config import FeatureSettings
from intentcast.errors import ConfigError
from intentcast.features import fit_featurizer
from intentcast.features.spec import NAME_PATTERN
from intentcast.snapshots import attributes_as_of, build_snapshots
from tests.conftest import DAY, LEADS, START, WORLD_SETTINGS, at, event, world

SMALL = FeatureSettings(half_lives_days=(3.0, 45.0), windows_days=(7, 30), clustered_themes=2)
AS_OF = at("2024-03-04")
TIMES = [START + d * DAY for d in (40, 47, 61, 80, 110)]


def fit(dataset, *, known_by=AS_OF, **changes):
    settings = SMALL.model_copy(update=changes)
    return fit_featurizer(dataset, known_by=known_by, settings=settings, seed=7)


def look(lead_id="L1", as_of=AS_OF, account_id="A1"):
    return pl.DataFrame(
        {"lead_id": [lead_id], "as_of": [as_of], "account_id": [account_id]},
        schema_overrides={"as_of": pl.Datetime("us", "UTC")},
    )


def features(featurizer, dataset, snapshots):
    """Return the one row of features by name."""
    matrix = featurizer.transform(dataset, snapshots)
    (row,) = matrix.values
    return dict(zip(matrix.names, row.tolist(), strict=True))


@pytest.fixture(scope="module")
def lively(make_dataset):
    """A world, its snapshots and its features."""
    dataset = make_dataset(**world(3, n_leads=30), settings=WORLD_SETTINGS)
    snapshots = build_snapshots(dataset, TIMES)
    featurizer = fit(dataset, known_by=TIMES[2])
    return dataset, featurizer, snapshots, featurizer.transform(dataset, snapshots)


# Against a reference


def days(delta):
    return delta / DAY


def reference(dataset, featurizer, snapshot):
    """Return features of one snapshot, each from its definition."""
    spec, as_of = featurizer.spec, snapshot["as_of"]
    accounts = dict(dataset.leads.select("lead_id", "account_id").iter_rows())
    seen = [
        {**row, "account": accounts[row["lead_id"]], "age": days(as_of - row["occurred_at"])}
        for row in dataset.events.iter_rows(named=True)
        if row["known_at"] < as_of and not row["is_machine"]
    ]
    own = [row for row in seen if row["lead_id"] == snapshot["lead_id"]]
    team = [row for row in seen if row["account"] == snapshot["account_id"]]
    colleagues = [row for row in team if row["lead_id"] != snapshot["lead_id"]]
    theme_names = [*spec.theme_names]

    def theme(row):
        number = featurizer.themes.assign([row["content"]])[0]
        return None if number < 0 else theme_names[number]

    groups = {("engagement", "any"): own}
    for family, column, levels in (
        ("activity", "event_type", spec.event_types), ("channel", "channel", spec.channels)
    ):  # fmt: skip
        for name in (*levels, "other"):
            groups[family, name] = [
                row for row in own
                if row[column] == name or (name == "other" and row[column] not in (*levels, None))
            ]  # fmt: skip
    for name in theme_names:
        groups["theme", name] = [row for row in own if theme(row) == name]
    out = {}
    for h in spec.half_lives_days:
        unit = f"{h:g}d_halflife"
        for (family, name), rows in groups.items():
            total = sum(2 ** (-row["age"] / h) for row in rows)
            out[f"{family}.recency_weighted.{name}.{unit}"] = total
        valued = [row for row in own if row["value"] is not None]
        total = sum(row["value"] * 2 ** (-row["age"] / h) for row in valued)
        out[f"value.recency_weighted.any.{unit}"] = total
        for name in ("any", *theme_names):
            rows = [row for row in colleagues if name in ("any", theme(row))]
            total = sum(2 ** (-row["age"] / h) for row in rows)
            out[f"account.colleagues_recency_weighted.{name}.{unit}"] = total
    groups["value", "any"] = valued
    for (family, name), rows in groups.items():
        latest = min((row["age"] for row in rows), default=float("nan"))
        out[f"{family}.days_since_last.{name}.days"] = latest
    for window in spec.windows_days:
        for (family, name), rows in groups.items():
            if family != "value":
                count = len([row for row in rows if row["age"] <= window])
                out[f"{family}.count.{name}.{window}d"] = count
        recent = [row for row in own if row["age"] <= window]
        dates = {row["occurred_at"].date() for row in recent}
        out[f"engagement.active_days.any.{window}d"] = len(dates)
        contents = {row["content"] for row in recent} - {None}
        out[f"engagement.distinct_content.any.{window}d"] = len(contents)
        people = {row["lead_id"] for row in team if row["age"] <= window}
        out[f"account.people_engaged.any.{window}d"] = len(people)
    created = dict(dataset.leads.select("lead_id", "created_at").iter_rows())
    out["lifecycle.age.lead.days"] = days(as_of - created[snapshot["lead_id"]])
    first = max((days(as_of - row["known_at"]) for row in own), default=float("nan"))
    out["lifecycle.age.first_event.days"] = first
    return out


def test_every_feature_equals_its_definition(lively):
    dataset, featurizer, snapshots, matrix = lively
    assert len(snapshots) > 40
    for snapshot, row in zip(snapshots.iter_rows(named=True), matrix.values, strict=True):
        expected = reference(dataset, featurizer, snapshot)
        got = dict(zip(matrix.names, row.tolist(), strict=True))
        engaged = {name: got[name] for name in got if not name.startswith("fit.")}
        assert engaged == pytest.approx(expected, abs=2e-9, nan_ok=True)


def test_fit_features_are_the_attributes_as_they_were_known(lively):
    dataset, featurizer, snapshots, matrix = lively
    names = ["employee_count", "industry", "job_title"]
    known = attributes_as_of(dataset, snapshots, names)
    column = {name: matrix.values[:, i] for i, name in enumerate(matrix.names)}
    size = known["employee_count"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    np.testing.assert_array_equal(column["fit.value.employee_count.number"], size)
    for attribute, levels in featurizer.spec.levels:
        for level in levels:
            flags = column[f"fit.is.{attribute}_{level.lower()}.flag"]
            expected = (known[attribute] == level).fill_null(value=False).cast(pl.Float64)
            np.testing.assert_array_equal(flags, expected.to_numpy())


def test_names_match_the_pattern_and_are_unique(lively):
    *_, matrix = lively
    assert all(NAME_PATTERN.match(name) for name in matrix.names)
    assert len(set(matrix.names)) == len(matrix.names) == matrix.values.shape[1]


# The same bits whatever else is asked


@given(st.data())
def test_any_snapshots_in_any_order_give_the_same_bits(lively, data):
    dataset, featurizer, snapshots, matrix = lively
    rows = data.draw(
        st.lists(st.integers(0, len(snapshots) - 1), min_size=1, max_size=9, unique=True)
    )
    part = featurizer.transform(dataset, snapshots[rows])
    assert part.values.tobytes() == matrix.values[rows].tobytes()


def test_each_lead_alone_has_the_bits_that_it_has_in_the_batch(lively):
    dataset, featurizer, snapshots, matrix = lively
    for row in range(0, len(snapshots), 7):
        alone = featurizer.transform(dataset, snapshots[row])
        assert alone.values.tobytes() == matrix.values[row].tobytes()


def test_features_do_not_need_the_rows_of_other_accounts(lively, make_dataset):
    _, featurizer, snapshots, matrix = lively
    tables = world(3, n_leads=30)
    account = {row["lead_id"]: row["account_id"] or row["lead_id"] for row in tables["leads"]}
    wanted = {name for name, group in account.items() if group == account["L004"]}
    own = {
        name: [row for row in tables[name] if row["lead_id"] in wanted]
        for name in ("leads", "events", "outcomes")
    }
    dataset = make_dataset(**{**tables, **own}, settings=WORLD_SETTINGS)
    is_wanted = snapshots["lead_id"].is_in(list(wanted))
    part = featurizer.transform(dataset, snapshots.filter(is_wanted))
    assert len(part.values)
    assert part.values.tobytes() == matrix.values[is_wanted.to_numpy()].tobytes()


def test_no_snapshots_give_no_rows(lively):
    dataset, featurizer, snapshots, matrix = lively
    empty = featurizer.transform(dataset, snapshots.clear())
    assert empty.values.shape == (0, len(matrix.names))


@pytest.mark.parametrize("weeks", [-5, 1, 100])
def test_a_shift_of_all_times_by_whole_weeks_changes_no_feature(lively, make_dataset, weeks):
    _, _, snapshots, matrix = lively
    shift = timedelta(weeks=weeks)
    tables = world(3, n_leads=30, start=START + shift)
    dataset = make_dataset(**tables, settings=WORLD_SETTINGS)
    moved = fit(dataset, known_by=TIMES[2] + shift).transform(
        dataset, snapshots.with_columns(pl.col("as_of") + shift)
    )
    assert moved.names == matrix.names
    assert moved.values.tobytes() == matrix.values.tobytes()


# What never counts


def test_machine_events_change_no_feature(lively, make_dataset):
    _, _, snapshots, matrix = lively
    tables = world(3, n_leads=30)
    human = [row for row in tables["events"] if not row["is_machine"]]
    assert len(human) < len(tables["events"])
    dataset = make_dataset(**{**tables, "events": human}, settings=WORLD_SETTINGS)
    without = fit(dataset, known_by=TIMES[2]).transform(dataset, snapshots)
    assert without.names == matrix.names
    assert without.values.tobytes() == matrix.values.tobytes()


def test_repeated_and_disordered_rows_change_no_feature(lively, make_dataset):
    _, _, snapshots, matrix = lively
    tables = world(3, n_leads=30)
    named = [row for row in tables["events"] if row["event_id"]]
    again = [{**row, "recorded_at": row["recorded_at"] + DAY, "content": "copy"} for row in named]
    tables["events"] = [*again, *reversed(tables["events"])]
    dataset = make_dataset(**tables, settings=WORLD_SETTINGS)
    same = fit(dataset, known_by=TIMES[2]).transform(dataset, snapshots)
    assert same.values.tobytes() == matrix.values.tobytes()


def test_before_any_event_there_is_nothing(make_dataset):
    dataset = make_dataset()
    got = features(fit(dataset), dataset, look("L3", at("2024-01-10"), "lead:L3"))
    assert got["lifecycle.age.lead.days"] == 7.0
    for name, value in got.items():
        if ".days_since_last." in name or name == "lifecycle.age.first_event.days":
            assert np.isnan(value), name
        elif name != "lifecycle.age.lead.days":
            assert value == 0.0, name


def test_a_data_set_without_human_events_has_features(make_dataset):
    events = [event("L1", "2024-02-01", is_machine=True)]
    dataset = make_dataset(events=events)
    got = features(fit(dataset), dataset, look())
    assert got["engagement.count.any.30d"] == 0.0
    assert got["activity.count.other.30d"] == 0.0


# Vocabulary


def test_unseen_types_channels_contents_and_levels_count_as_other(make_dataset):
    settings = {"attributes": {"categorical": ["job_title"]}}
    known = make_dataset(
        events=[event("L1", "2024-02-01", "page_view", channel="web", content="/a")],
        settings=settings,
    )
    later = make_dataset(
        leads=[{**LEADS[0], "job_title": "Wizard"}],
        events=[event("L1", "2024-03-01", "hologram", channel="ether", content="/zzz")],
        outcomes=[],
        settings=settings,
    )
    got = features(fit(known), later, look())
    ones = [n for n, value in got.items() if value == 1.0 and n.split(".")[1] in ("count", "is")]
    assert ones == [
        "engagement.count.any.7d", "engagement.count.any.30d",
        "activity.count.other.7d", "activity.count.other.30d",
        "theme.count.other.7d", "theme.count.other.30d",
        "channel.count.other.7d", "channel.count.other.30d",
        "fit.is.job_title_other.flag",
    ]  # fmt: skip


def test_an_unknown_attribute_sets_no_flag_and_no_number(make_dataset):
    settings = {"attributes": {"categorical": ["job_title"], "numeric": ["employee_count"]}}
    others = [{**row, "employee_count": "12"} for row in LEADS[1:]]
    leads = [{**LEADS[0], "job_title": None, "employee_count": "a few"}, *others]
    dataset = make_dataset(leads=leads, settings=settings)
    got = features(fit(dataset), dataset, look())
    assert [n for n, value in got.items() if n.startswith("fit.is.") and value] == []
    assert np.isnan(got["fit.value.employee_count.number"])


@pytest.mark.parametrize("size", ["inf", "-inf", "nan", "1e999"])
def test_a_number_that_is_not_finite_is_unknown(make_dataset, size):
    settings = {"attributes": {"numeric": ["employee_count"]}}
    others = [{**row, "employee_count": "12"} for row in LEADS[1:]]
    dataset = make_dataset(leads=[{**LEADS[0], "employee_count": size}, *others], settings=settings)
    assert np.isnan(features(fit(dataset), dataset, look())["fit.value.employee_count.number"])


def test_a_numeric_attribute_without_any_number_is_refused(make_dataset):
    settings = {"attributes": {"numeric": ["employee_count"]}}
    leads = [{**row, "employee_count": "51-200"} for row in LEADS]
    dataset = make_dataset(leads=leads, settings=settings)
    with pytest.raises(ConfigError, match=r"employee_count holds no number"):
        fit(dataset)


def test_a_core_theme_that_is_no_theme_is_refused(make_dataset):
    dataset = make_dataset(settings={"themes": {"core": ["price"], "seeds": {"pricing": "plans"}}})
    with pytest.raises(ConfigError, match=r"core theme price .* pricing"):
        fit(dataset)


def test_an_attribute_called_position_is_the_attribute(make_dataset):
    settings = {"attributes": {"numeric": ["position"]}}
    dataset = make_dataset(leads=[{**row, "position": 5} for row in LEADS], settings=settings)
    assert features(fit(dataset), dataset, look())["fit.value.position.number"] == 5.0


def test_a_level_that_only_changes_name_is_learnt(make_dataset):
    settings = {"attributes": {"categorical": ["industry"]}}
    changes = [
        {
            "entity": "lead",
            "entity_id": "L1",
            "attribute": "industry",
            "value": "bank",
            "recorded_at": AS_OF - DAY,
        }
    ]
    leads = [{**row, "industry": None} for row in LEADS]
    dataset = make_dataset(leads=leads, attribute_changes=changes, settings=settings)
    assert fit(dataset).spec.levels == (("industry", ("bank",)),)


def test_the_vocabulary_is_what_was_known_by_training_time(make_dataset):
    late = [event("L1", AS_OF, "late"), event("L2", AS_OF - DAY, "later", recorded_at=AS_OF)]
    early = [event("L1", AS_OF - DAY, "early", recorded_at=AS_OF - DAY, is_machine=False)]
    machine = [event("L1", AS_OF - DAY, "robot", recorded_at=AS_OF - DAY, is_machine=True)]
    newcomer = {"lead_id": "L9", "created_at": AS_OF, "account_id": "A1", "job_title": "Queen"}
    dataset = make_dataset(
        leads=[*({**row, "created_at": at(row["created_at"])} for row in LEADS), newcomer],
        events=[*late, *early, *machine],
        settings={"attributes": {"categorical": ["job_title"]}},
    )
    spec = fit(dataset).spec
    assert spec.event_types == ("early",)
    assert spec.levels == (("job_title", ("CFO", "CTO", "Engineer")),)


def test_only_the_most_frequent_levels_get_their_own_ties_by_name(make_dataset):
    kinds = ["c"] * 3 + ["b"] * 2 + ["a"] * 2 + ["d"]
    events = [event("L1", f"2024-02-{i + 1:02d}", kind) for i, kind in enumerate(kinds)]
    dataset = make_dataset(events=events)
    assert fit(dataset, max_event_types=2).spec.event_types == ("a", "c")
    assert fit(dataset, min_share=0.2).spec.event_types == ("a", "b", "c")
    assert fit(dataset).spec.event_types == ("a", "b", "c", "d")


def test_account_features_need_an_account_of_two(make_dataset):
    dataset = make_dataset()
    assert fit(dataset).spec.has_accounts
    alone = make_dataset(leads=[{**row, "account_id": row["lead_id"]} for row in LEADS])
    assert not fit(alone).spec.has_accounts


# The account


def test_colleagues_are_the_account_without_the_lead(make_dataset):
    events = [event("L1", AS_OF - DAY)] * 3 + [event("L2", AS_OF - 3 * DAY)] * 2
    dataset = make_dataset(events=events)
    featurizer = fit(dataset)
    name = "account.colleagues_recency_weighted.any.3d_halflife"
    mine, theirs = (features(featurizer, dataset, look(lead)) for lead in ("L1", "L2"))
    assert mine[name] == pytest.approx(2 * 0.5)
    assert theirs[name] == pytest.approx(3 * 2 ** (-1 / 3))
    assert mine["account.people_engaged.any.7d"] == 2.0
    assert mine["engagement.count.any.7d"] == 3.0


def test_a_lone_lead_has_no_colleagues_whatever_it_does(make_dataset):
    events = [event("L3", AS_OF - i * timedelta(hours=1.7)) for i in range(1, 60)]
    dataset = make_dataset(events=events)
    got = features(fit(dataset), dataset, look("L3", account_id="lead:L3"))
    colleagues = [n for n in got if n.startswith("account.colleagues")]
    assert [got[name] for name in colleagues] == [0.0] * len(colleagues)
    assert got["account.people_engaged.any.7d"] == 1.0


@pytest.mark.parametrize("hours", [0.3, 0.7, 1.3])
def test_a_colleague_long_forgotten_leaves_no_rounding_behind(make_dataset, hours):
    # Recorded among the lead's own events, so that the account's sum is rounded elsewhere.
    events = []
    for i in range(1, 31):
        own, recorded = AS_OF - i * timedelta(hours=1.7), AS_OF - i * timedelta(hours=hours)
        events.append(event("L1", own, recorded_at=own))
        events.append(event("L2", AS_OF - 300 * DAY, recorded_at=recorded))
    dataset = make_dataset(events=events)
    got = features(fit(dataset), dataset, look())
    assert got["account.colleagues_recency_weighted.any.3d_halflife"] == 0.0


def test_recency_rises_with_the_half_life(lively):
    *_, matrix = lively
    column = {name: matrix.values[:, i] for i, name in enumerate(matrix.names)}
    ladder = [column[f"engagement.recency_weighted.any.{h}d_halflife"] for h in (3, 45)]
    counts = [column[f"engagement.count.any.{w}d"] for w in (7, 30)]
    for shorter, longer in (*pairwise(ladder), *pairwise(counts)):
        assert (shorter <= longer + 1e-12).all()
