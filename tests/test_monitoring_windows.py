"""What the windows of monitoring hold: what was known at their end, and whose past it is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from intentcast.monitoring import monitor
from intentcast.monitoring.inputs import unseen, volumes
from intentcast.monitoring.windows import cut_windows
from intentcast.snapshots import known_dataset, scoring_times
from intentcast.sources.cleaning import EVENT_ORDER
from tests.fixtures_world import bundle, bundle_folder, world

AS_OF = datetime(2025, 10, 6, tzinfo=UTC)
EARLIER = datetime(2025, 3, 3, tzinfo=UTC)
LATE = timedelta(days=21)


def recorded_late(event_type):
    """The small world, one type of whose events is always uploaded three weeks later."""
    later = pl.max_horizontal("known_at", pl.col("occurred_at") + LATE)
    known = pl.when(pl.col("event_type") == event_type).then(later).otherwise("known_at")
    events = world().events.with_columns(known_at=known)
    return replace(world(), events=events.sort(EVENT_ORDER))


def windows_of(data):
    past = known_dataset(data, AS_OF)
    times = scoring_times(past, until=AS_OF)
    return past, cut_windows(past, times, learnt_until=EARLIER)


def test_a_type_that_is_always_recorded_late_is_no_alarm():
    past, windows = windows_of(recorded_late("page_view"))
    # The newest window lacks most of it: counted against whole windows it would seem to have gone.
    usual = next(v for v in volumes(*windows_of(world())) if v.name == "page_view")
    late = next(v for v in volumes(past, windows) if v.name == "page_view")
    assert late.n < 0.5 * usual.n
    assert late.per_lead < 0.5 * usual.low
    assert late.flow == "usual"
    assert all(volume.flow == "usual" for volume in volumes(past, windows))


def test_a_name_that_training_has_no_word_for_is_as_usual_where_it_is_always_recorded_late():
    data = recorded_late("page_view")
    renamed = pl.col("event_type").replace("page_view", "pv")
    data = replace(data, events=data.events.with_columns(renamed).sort(EVENT_ORDER))
    found = next(u for u in unseen(bundle("logistic"), *windows_of(data)) if u.kind == "event type")
    assert found.share > 0.1
    assert found.share == pytest.approx(found.usual, abs=0.1)


def test_a_past_window_does_not_change_with_what_is_recorded_after_its_end():
    past, windows = windows_of(recorded_late("page_view"))
    known = pl.col("known_at")
    end = windows.newest[1] - windows.first_known * timedelta(days=28)
    cut = past.events.filter((pl.col("occurred_at") >= end) | (known < end))
    assert len(cut) < len(past.events)
    before = {v.name: (v.low, v.high) for v in volumes(replace(past, events=cut), windows)}
    assert {v.name: (v.low, v.high) for v in volumes(past, windows)} == before


def test_a_recalibration_does_not_hide_what_has_drifted_since_the_learner_learnt():
    """Its reference is still the learner's; only the calibration has seen the summer."""
    data = world()
    since = pl.col("occurred_at") >= datetime(2025, 6, 1, tzinfo=UTC)
    gone = since & (pl.col("channel") == "email")
    data = replace(data, events=data.events.filter(~gone))
    learnt = replace(bundle("logistic"), data_cutoff=EARLIER.isoformat())
    fitted = datetime(2025, 9, 1, tzinfo=UTC).isoformat()
    recalibrated = replace(
        learnt,
        data_cutoff=fitted,
        manifest={**learnt.manifest, "learner_cutoff": learnt.data_cutoff},
    )
    one, other = (
        monitor(each, bundle_folder("logistic"), data, as_of=AS_OF)
        for each in (learnt, recalibrated)
    )
    assert other.drift == one.drift
    assert other.volumes == one.volumes
    lights = {s.name: s.light for s in other.signals}
    assert lights["Incoming events"] == "red"
    assert lights["Features"] in ("amber", "red")
    # What it is asked about begins where its calibration's data ended.
    assert other.told.rows["as_of"].min() >= datetime.fromisoformat(fitted)
    assert one.told.rows["as_of"].min() < datetime.fromisoformat(fitted)
