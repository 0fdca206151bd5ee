"""Where outcomes are recorded late, a test window is over when they are recorded."""

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from intentcast.config import SourceDelay
from intentcast.errors import RefusedError
from intentcast.evaluation.backtest import _refuse_nobody, _splits
from intentcast.labels import label_snapshots
from intentcast.snapshots import build_snapshots
from tests.fixtures_world import world, world_times

DELAY_DAYS = 150


def first_test():
    return world().config.backtest.first_test


def delayed():
    slow = SourceDelay(outcomes=24 * DELAY_DAYS)
    return replace(world(), config=world().config.model_copy(update={"source_delay_hours": slow}))


def n_judged(split, data):
    snapshots = build_snapshots(data, list(split.test))
    label = label_snapshots(snapshots, data, horizon_days=90, known_by=data.data_cutoff)
    return snapshots.filter(label.is_not_null())["as_of"].n_unique()


def test_every_test_window_but_the_last_is_judged_whole_and_the_last_as_long():
    data = delayed()
    splits = _splits(world_times(), first_test(), data)
    lengths = [n_judged(split, data) for split in splits]
    assert lengths[:-1] == [len(split.test) for split in splits[:-1]]
    assert max(lengths) - min(lengths) <= 1
    # What is not recorded yet is predicted with the last window's model, and judged by nobody.
    assert splits[-1].test[-1] == world_times()[-1]
    assert lengths[-1] < len(splits[-1].test)


def test_a_first_test_whose_outcomes_are_not_recorded_yet_is_refused_with_the_delay():
    data = delayed()
    over = data.data_cutoff - timedelta(days=90)
    late = max(t for t in world_times() if t <= over)
    assert _splits(world_times(), late - timedelta(days=14), world())
    with pytest.raises(RefusedError, match="recorded 3600 hours later"):
        _splits(world_times(), late, data)


def test_nobody_in_a_test_that_is_recorded_is_refused_although_others_are_predicted():
    data = delayed()
    splits = _splits(world_times(), first_test(), data)
    last = pl.DataFrame({"as_of": [splits[-1].test[-1]]})
    with pytest.raises(RefusedError, match="nobody in the cohort"):
        _refuse_nobody(last, splits, data)
    _refuse_nobody(pl.DataFrame({"as_of": [splits[0].test[0]]}), splits, data)
