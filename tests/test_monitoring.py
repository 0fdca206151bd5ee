"""Monitoring of a small world: what was told is judged by what came, from its instant on."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from intentcast.errors import InputError, RefusedError
from intentcast.monitoring import monitor, read_runs, with_run
from intentcast.monitoring.delays import Delays
from intentcast.monitoring.early import _grid, _recorded_by_now
from intentcast.monitoring.page import render_page
from intentcast.predicting import predict
from intentcast.scoring import score
from intentcast.snapshots import snapshots_at
from intentcast.sources.cleaning import EVENT_ORDER
from tests.fixtures_world import bundle, bundle_folder, world

AS_OF = datetime(2025, 10, 6, tzinfo=UTC)
EARLIER = "2025-03-03T00:00:00+00:00"


@pytest.fixture(scope="module")
def older():
    """The bundle as if its data had ended in spring: it is asked about what came after."""
    return replace(bundle("logistic"), data_cutoff=EARLIER)


def look(loaded, data, **more):
    return monitor(loaded, bundle_folder("logistic"), data, **{"as_of": AS_OF, **more})


@pytest.fixture(scope="module")
def found(older):
    return look(older, world())


@pytest.fixture(scope="module")
def told():
    """What `score` wrote on two Mondays at nine."""
    days = (datetime(2025, 6, 2, 9, tzinfo=UTC), datetime(2025, 6, 30, 9, tzinfo=UTC))
    return pl.concat(score(bundle("logistic"), world(), snapshots_at(world(), day)) for day in days)


@pytest.fixture(scope="module")
def once(older, told):
    """What is said of these scores."""
    return look(older, world(), scores=[("a", told)])


def light(found, name):
    return next(s.light for s in found.signals if s.name == name)


def test_rows_known_at_the_instant_of_monitoring_or_later_change_nothing(older, found):
    data = world()
    # Only what was known before: as if the extract had been made then.
    before = {
        table: getattr(data, table).filter(pl.col(known) < AS_OF)
        for table, known in (
            ("events", "known_at"),
            ("outcomes", "known_at"),
            ("attribute_changes", "recorded_at"),
        )
    }
    then = replace(data, **before, data_cutoff=AS_OF)
    assert look(older, then).to_json() == found.to_json()
    # And with rows at that very instant, of leads that are in the cohort.
    late = data.outcomes.head(20).with_columns(
        occurred_at=pl.lit(AS_OF - timedelta(days=50)).cast(data.outcomes.schema["occurred_at"]),
        known_at=pl.lit(AS_OF).cast(data.outcomes.schema["known_at"]),
        outcome=pl.lit("closed_won"),
    )
    more = replace(then, outcomes=pl.concat([then.outcomes, late]))
    assert look(older, more).to_json() == found.to_json()


def test_without_files_the_bundle_is_asked_about_every_time_since_its_data_ended(found):
    assert found.told.is_retrospective
    first = found.told.rows["as_of"].min()
    assert (
        datetime.fromisoformat(EARLIER)
        <= first
        < datetime.fromisoformat(EARLIER) + timedelta(days=14)
    )
    assert [q.horizon_days for q in found.qualities] == [30, 90]
    for quality in found.qualities:
        assert quality.last + timedelta(days=quality.horizon_days) <= AS_OF


def test_the_open_horizons_are_those_that_are_not_over(found):
    times = found.early.times
    assert all(t.as_of + timedelta(days=90) > AS_OF for t in times)
    assert [t.elapsed_days for t in times] == [(AS_OF - t.as_of).days for t in times]
    assert found.early.n == sum(t.n for t in times)


@pytest.mark.parametrize("step", ["logistic", "hazard"])
def test_where_all_is_recorded_at_once_what_should_have_come_is_the_probability_of_today(step):
    loaded, data = bundle(step), world()
    rows = snapshots_at(data, AS_OF - timedelta(days=40))

    def told(*days):
        return predict(loaded, data, rows, horizons=days)[1]

    at_once = Delays(0, is_measured=False, days=np.empty(0), cumulative=np.empty(0))
    expected = _recorded_by_now(told(*_grid(40)), at_once, 40.0)
    today = told(40).probabilities[:, 0]
    np.testing.assert_allclose(expected, today, rtol=1e-9)
    # What takes ten days to be recorded is what had come ten days ago, more or less.
    late = Delays(9, is_measured=True, days=np.array([10.0]), cumulative=np.array([1.0]))
    then = told(30).probabilities[:, 0]
    found = _recorded_by_now(told(*_grid(40)), late, 40.0)
    assert (found <= today).all()
    assert found.sum() == pytest.approx(then.sum(), rel=0.1)


def test_a_fresh_bundle_has_nothing_that_is_over():
    fresh = look(bundle("logistic"), world())
    assert fresh.qualities == ()
    assert light(fresh, "Probabilities") == "grey"
    assert light(fresh, "Conversions so far") == "grey"


def test_an_outcome_counts_from_the_instant_of_scoring_not_from_midnight(told, older):
    data = world()
    chosen = told.filter(pl.col("as_of") == told["as_of"].min())
    lead, scored = chosen["lead_id"][0], chosen["as_of"][0]
    mine = data.outcomes.filter(pl.col("lead_id") != lead)
    base = look(older, replace(data, outcomes=mine), scores=[("a", chosen)])
    # Three hours before the score, on the same day; and an hour before the month is over.
    for occurred, converts in (
        (scored - timedelta(hours=3), False),
        (scored + timedelta(days=30) - timedelta(hours=1), True),
        (scored + timedelta(days=30), False),
    ):
        new = data.outcomes.head(1).with_columns(
            lead_id=pl.lit(lead),
            occurred_at=pl.lit(occurred).cast(mine.schema["occurred_at"]),
            known_at=pl.lit(occurred).cast(mine.schema["known_at"]),
            outcome=pl.lit("closed_won"),
        )
        changed = replace(data, outcomes=pl.concat([mine, new]).sort("lead_id", "known_at"))
        seen = look(older, changed, scores=[("a", chosen)])
        gained = (
            seen.run["groups"][f"{older.version}|30"]["observed"]
            - base.run["groups"][f"{older.version}|30"]["observed"]
        )
        assert gained == converts


def test_a_conversion_recorded_late_turns_the_earlier_figure_over_and_is_counted(told, older, once):
    data, first = world(), once
    key = f"{older.version}|30"
    runs = with_run([], first.run)["runs"]
    open_lead = told.filter(
        ~pl.col("lead_id").is_in(data.outcomes["lead_id"].implode())
        & (pl.col("as_of") == told["as_of"].min())
    )["lead_id"][0]
    late = data.outcomes.head(1).with_columns(
        lead_id=pl.lit(open_lead),
        occurred_at=pl.lit(told["as_of"].min() + timedelta(days=5)).cast(
            data.outcomes.schema["occurred_at"]
        ),
        known_at=pl.lit(AS_OF + timedelta(days=1)).cast(data.outcomes.schema["known_at"]),
        outcome=pl.lit("closed_won"),
    )
    now = replace(data, outcomes=pl.concat([data.outcomes, late]).sort("lead_id", "known_at"))
    # Not known yet at the first instant.
    assert look(older, now, scores=[("a", told)]).run == first.run
    later = AS_OF + timedelta(days=7)
    second = look(older, now, scores=[("a", told)], as_of=later, runs=runs)
    assert second.changes[key].converted == 1
    assert second.changes[key].withdrawn == 0
    assert second.run["groups"][key]["observed"] == first.run["groups"][key]["observed"] + 1
    # Repeated with the run remembered, it says the same, and the state stays as it is.
    state = with_run(runs, second.run)
    again = look(older, now, scores=[("a", told)], as_of=later, runs=state["runs"])
    assert again.to_json() == second.to_json()
    assert with_run(state["runs"], again.run) == state


def test_versions_are_never_put_together(told, older, once):
    other = told.with_columns(
        model_version=pl.lit("another"), probability=pl.col("probability") * 0.5
    )
    both = look(older, world(), scores=[("a", told), ("b", other)])
    assert {q.version for q in both.qualities} == {older.version, "another"}
    mine = [q for q in both.qualities if q.version == older.version]
    assert mine == list(once.qualities)
    # Lights speak of the bundle in use.
    assert both.signals == once.signals


def test_the_same_scores_in_two_files_count_once_and_contradicting_ones_are_refused(
    told, older, once
):
    twice = look(older, world(), scores=[("a", told), ("b", told)])
    assert twice.qualities == once.qualities
    changed = told.with_columns(probability=pl.col("probability") / 2)
    with pytest.raises(InputError, match="two probabilities"):
        look(older, world(), scores=[("a", told), ("b", changed)])


def test_scores_of_unknown_leads_and_of_later_are_counted_and_left_out(told, older, once):
    ghost = told.head(3).with_columns(lead_id=pl.lit("ghost-") + pl.col("lead_id"))
    later = told.head(2).with_columns(as_of=pl.lit(AS_OF).cast(told.schema["as_of"]))
    seen = look(older, world(), scores=[("a", pl.concat([told, ghost, later]))])
    assert (seen.told.n_unknown, seen.told.n_later) == (3, 2)
    assert seen.qualities == once.qualities


@pytest.mark.parametrize(
    "spoil",
    [
        lambda told: told.drop("model_version"),
        lambda told: told.with_columns(probability=pl.lit("high")),
        lambda told: told.with_columns(probability=pl.lit(1.5)),
        lambda told: told.with_columns(lead_id=pl.lit(None, dtype=pl.String)),
    ],
)
def test_a_file_that_score_did_not_write_is_refused_by_name(told, older, spoil):
    with pytest.raises(InputError, match=r"strange\.parquet"):
        look(older, world(), scores=[("strange.parquet", spoil(told))])


def test_a_channel_that_stops_is_seen(older):
    data = world()
    stops = (pl.col("occurred_at") >= AS_OF - timedelta(days=42)) & (pl.col("channel") == "email")
    seen = look(older, replace(data, events=data.events.filter(~stops)))
    assert light(seen, "Incoming events") == "red"
    assert "email" in next(s.sentence for s in seen.signals if s.name == "Incoming events")


def test_a_type_under_a_new_name_is_seen(older):
    data = world()
    is_view = (pl.col("occurred_at") >= AS_OF - timedelta(days=42)) & (
        pl.col("event_type") == "page_view"
    )
    name = pl.when(is_view).then(pl.lit("pv")).otherwise("event_type").alias("event_type")
    seen = look(older, replace(data, events=data.events.with_columns(name).sort(EVENT_ORDER)))
    assert light(seen, "Incoming events") == "red"
    assert light(seen, "Features") in ("amber", "red")
    new = next(u for u in seen.unseen if u.kind == "event type")
    assert new.share > 0.5
    assert new.usual == 0


def test_an_attribute_lost_from_the_export_is_seen_although_the_past_has_lost_it_too(older, found):
    data = world()
    lost = pl.lit(None, dtype=pl.String).alias("industry")
    seen = look(older, replace(data, accounts=data.accounts.with_columns(lost)))
    rewritten, before = (
        {f.name for f in each.drift if f.status == "rewritten"} for each in (seen, found)
    )
    assert rewritten > before
    assert all("industry" in name for name in rewritten - before)
    assert light(seen, "Features") in ("amber", "red")


def test_the_page_has_no_script_and_loads_nothing_and_escapes_names(found):
    page = render_page(replace(found, bundle={**found.bundle, "name": "<script>x"}))
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "src=" not in page
    for signal in found.signals:
        assert signal.name in page


def test_the_figures_are_json_without_a_number_that_is_none(found):
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert {c["light"] for c in written["checks"]} <= {"green", "grey", "amber", "red"}
    assert len(written["drift"]) == len(bundle("logistic").featurizer.spec.names)


def test_where_nobody_was_active_it_refuses(older):
    with pytest.raises(RefusedError, match="nobody"):
        look(older, world(), as_of=datetime(2022, 1, 3, tzinfo=UTC))


def test_a_damaged_state_is_no_state(tmp_path):
    path = tmp_path / "state.json"
    assert read_runs(path) == []
    path.write_text('{"format": 2}')
    with pytest.raises(InputError, match=r"state\.json"):
        read_runs(path)
