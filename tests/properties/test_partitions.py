"""However the events are cut into partitions, batches and threads, the same bits come out."""

import random
from contextlib import contextmanager

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from intentcast.config import FeatureSettings
from intentcast.engines import FeatureRequest, LocalEngine, write_features
from intentcast.errors import ContractError
from intentcast.features import fit_featurizer
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span, known_as_of
from intentcast.sources import events, load_dataset
from intentcast.sources.events import spill_events
from intentcast.sources.partitioned import (
    PartitionedDataset,
    account_hashes,
    load_entities,
    partition_of,
)
from intentcast.sources.spill import Spill
from tests.conftest import (
    DAY,
    EVENTS,
    START,
    WORLD_SETTINGS,
    at,
    event,
    world,
    write_dataset,
)

SMALL = FeatureSettings(half_lives_days=(3.0, 45.0), windows_days=(7, 30), clustered_themes=2)
LENIENT = {**WORLD_SETTINGS, "quarantine": {"max_share": 0.9}}
BY_LEAD_AND_TIME = ("lead_id", "as_of")


@contextmanager
def batches_of(n_rows):
    """Read so few rows at a time that even a small world has many batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "BATCH_ROWS", n_rows)
        yield


def messy(seed, *, n_leads=14):
    """A lively world with copies, late rows, events of nobody and events that never parse."""
    tables = world(seed, n_leads=n_leads)
    rng = random.Random(seed)
    moment = START + 30 * DAY
    tables["events"] += [event(f"N{i}", moment, event_id=f"N{i}") for i in range(3)]
    tables["events"] += [{**row, "event_type": " "} for row in tables["events"][:2]]
    # An identifier is a lead's own: two leads may use the same.
    tables["events"] += [event(f"L{i:03}", moment, event_id="E1", content="x") for i in range(4)]
    tables["events"] += rng.sample(tables["events"], len(tables["events"]) // 3)
    return tables


def folder_of(new_folder, tables, *, suffix, seed=None):
    if seed is not None:
        rng = random.Random(seed)
        tables = {name: rng.sample(rows, len(rows)) for name, rows in tables.items()}
    return write_dataset(new_folder(), **tables, settings=LENIENT, suffix=suffix)


def partitioned(folder, spill, *, n_partitions, threads=1):
    tables = load_entities(folder)
    run = LocalEngine(threads).run
    spill_events(tables, spill, n_partitions=n_partitions, run=run)
    return PartitionedDataset(tables, Spill(spill))


def written(folder, out, *, n_partitions, threads):
    request = FeatureRequest(folder, out, None, None, None, n_partitions, SMALL, 7)
    done = write_features(request, engine=LocalEngine(threads))
    frame = pl.read_parquet(out / "part-*.parquet").sort(BY_LEAD_AND_TIME)
    return frame, done.manifest


def bits(frame):
    """The rows' keys and the very bits of their features."""
    features = frame.drop("lead_id", "account_id", "as_of")
    return frame.select("lead_id", "as_of").rows(), features.columns, features.to_numpy().tobytes()


@settings(max_examples=12)
@given(
    seed=st.integers(0, 50),
    order=st.integers(0, 2**32),
    n_partitions=st.integers(1, 9),
    threads=st.sampled_from([1, 2]),
    n_rows=st.integers(1, 200),
    suffix=st.sampled_from([".csv", ".parquet"]),
)
def test_features_are_those_of_the_whole_data_set_to_the_bit(
    new_folder, seed, order, n_partitions, threads, n_rows, suffix
):
    tables = messy(seed)
    whole = load_dataset(folder_of(new_folder, tables, suffix=".parquet"))
    times = as_of_times(cohort_span(whole), whole.config.cohort.every_days)
    snapshots = build_snapshots(whole, times)
    featurizer = fit_featurizer(whole, known_by=times[0], settings=SMALL, seed=7)
    expected = featurizer.transform(whole, snapshots)
    folder = folder_of(new_folder, tables, suffix=suffix, seed=order)
    with batches_of(n_rows):
        found, manifest = written(folder, new_folder(), n_partitions=n_partitions, threads=threads)
    assert manifest["feature_hash"] == featurizer.spec.hash
    assert manifest["as_of_times"] == [moment.isoformat() for moment in times]
    assert bits(found) == (
        snapshots.select("lead_id", "as_of").rows(),
        expected.names,
        np.ascontiguousarray(expected.values).tobytes(),
    )
    assert found["account_id"].to_list() == snapshots["account_id"].to_list()


@settings(max_examples=12)
@given(
    seed=st.integers(0, 50),
    n_partitions=st.integers(1, 9),
    n_rows=st.integers(1, 200),
    suffix=st.sampled_from([".csv", ".parquet"]),
)
def test_partitions_together_are_the_data_set(new_folder, seed, n_partitions, n_rows, suffix):
    folder = folder_of(new_folder, messy(seed), suffix=suffix)
    whole = load_dataset(folder)
    with batches_of(n_rows):
        data = partitioned(folder, new_folder() / "spill", n_partitions=n_partitions)
    parts, copies = zip(*(data.partition(k) for k in range(n_partitions)), strict=True)
    for table in ("leads", "accounts", "outcomes", "attribute_changes"):
        expected = getattr(whole, table)
        together = pl.concat([getattr(part, table) for part in parts])
        assert_frame_equal(together, expected, check_row_order=False)
    names = [n for n in whole.events.columns if n not in ("event_id", "recorded_at")]
    together = pl.concat([part.events for part in parts]).select(names)
    together = together.with_columns(pl.col("event_type", "content", "channel").cast(pl.String))
    assert_frame_equal(together, whole.events.select(names), check_row_order=False)
    [bad] = [q for q in whole.quarantined if q.table == "events"]
    assert sum(copies) == bad.n_duplicates > 0
    assert data.events_set_aside.n_rows == bad.n_rows
    assert data.events_set_aside.n_set_aside == len(bad.rows) > 0
    assert data.events_set_aside.rules == bad.rule_counts()
    assert data.events_set_aside.first_row == bad.rows["row_number"][0]
    assert data.data_cutoff == whole.data_cutoff
    assert all(part.data_cutoff == whole.data_cutoff for part in parts)
    assert cohort_span(data.outline()) == cohort_span(whole)
    of_part = [set(part.leads["account_id"]) for part in parts]
    assert sum(map(len, of_part)) == whole.leads["account_id"].n_unique()


@settings(max_examples=10)
@given(seed=st.integers(0, 50), share=st.floats(0.01, 1.0), day=st.integers(20, 120))
def test_a_sample_of_accounts_does_not_depend_on_the_partitions(new_folder, seed, share, day):
    known_by = START + day * DAY
    folder = folder_of(new_folder, messy(seed), suffix=".parquet")
    whole = load_dataset(folder)
    samples = []
    for n_partitions in (1, 5):
        data = partitioned(folder, new_folder() / "spill", n_partitions=n_partitions)
        samples.append(data.sample(share, known_by=known_by))
    one, other = samples
    for table in ("leads", "accounts", "events", "outcomes"):
        assert_frame_equal(getattr(one, table), getattr(other, table), check_row_order=False)
    kept = account_hashes(whole.leads["account_id"]) <= min(int(share * 2**32), 2**32 - 1)
    leads = whole.leads.filter(kept)
    assert sorted(one.leads["lead_id"]) == leads["lead_id"].to_list()
    events = known_as_of(whole.events, known_by).join(leads, on="lead_id", how="semi")
    assert sorted(one.events["known_at"]) == sorted(events["known_at"])


def test_what_is_recorded_later_does_not_change_the_sample(new_folder):
    tables = messy(4)
    known_by = START + 60 * DAY
    counts = []
    for later in ([], [event(f"L{i:03}", START + 90 * DAY) for i in range(14)] * 20):
        folder = folder_of(
            new_folder, {**tables, "events": tables["events"] + later}, suffix=".csv"
        )
        data = partitioned(folder, new_folder() / "spill", n_partitions=2)
        counts.append(data.events_known_before(known_by))
    known = known_as_of(load_dataset(folder).events, known_by)
    assert counts[0] == counts[1] >= len(known) > 0


FAULTS = {
    "a missing column": {"events": [{"lead_id": "L1", "occurred_at": "2024-01-01", "colour": "r"}]},
    "a mapping from nowhere": {"settings": {"columns": {"events": {"channel": "via"}}}},
    "a column of another type": {
        "events": pl.DataFrame([event("L1", START)]).with_columns(is_machine=pl.lit(0.5)),
        "suffix": ".parquet",
    },
    "too many bad rows": {"events": [event("L9", "2024-01-01"), event("L1", "01.02.2024")]},
    "an open quote": {"events": 'lead_id,occurred_at,event_type\nL1,2024-01-01,"x\n'},
    "an empty file": {"events": b""},
    "no parquet": {"events": b"x", "suffix": ".parquet"},
    "nothing at all": {"events": [], "outcomes": []},
    "a mistyped year": {
        "events": [event("L1", "2024-01-01"), event("L1", "2024-01-02"), event("L2", "2034-01-01")]
    },
    "no leads": {"leads": []},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_the_whole_data_set_is_refused_for_its_partitions_are_refused_for(new_folder, fault):
    folder = write_dataset(new_folder(), **FAULTS[fault])
    messages = []
    for load in (
        lambda: load_dataset(folder),
        lambda: partitioned(folder, new_folder() / "spill", n_partitions=3),
    ):
        with pytest.raises(ContractError) as caught:
            load()
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_a_bad_row_is_shown_as_the_file_has_it_with_columns_of_no_contract(new_folder):
    rows = [event("L1", "2024-01-01", campaign="spring", value="1,5"), *EVENTS]
    folder = write_dataset(new_folder(), events=rows, settings=LENIENT)
    out = new_folder() / "spill"
    with batches_of(2):
        data = partitioned(folder, out, n_partitions=2)
    [bad] = [q for q in load_dataset(folder).quarantined if q.table == "events"]
    assert pl.read_csv(out / "events.csv", infer_schema=False).equals(bad.rows.cast(pl.String))
    assert data.partition(0)[0].events.columns == data.partition(1)[0].events.columns
    assert "campaign" not in data.partition(0)[0].events.columns


def test_a_data_set_without_events_has_empty_partitions(new_folder):
    folder = write_dataset(new_folder(), events=[])
    data = partitioned(folder, new_folder() / "spill", n_partitions=2)
    assert [len(data.partition(k)[0].events) for k in range(2)] == [0, 0]
    assert data.data_cutoff == load_dataset(folder).data_cutoff
    assert data.outline().events.is_empty()


def test_a_late_copy_moves_neither_the_cut_off_nor_the_first_as_of_time(new_folder):
    """The copy became known last and says it occurred first; it counts for nothing."""
    rows = [
        event("L1", "2024-02-01", event_id="E", recorded_at="2024-02-01"),
        event("L1", "2024-01-01", event_id="E", recorded_at="2024-09-01"),
        event("L2", "2024-03-01"),
        event("L3", "2024-02-20"),
    ]
    folder = write_dataset(new_folder(), events=rows, outcomes=[])
    whole = load_dataset(folder)
    data = partitioned(folder, new_folder() / "spill", n_partitions=1)
    assert data.data_cutoff == whole.data_cutoff == at("2024-03-01T00:00:01")
    assert data.outline().events["occurred_at"].to_list() == [at("2024-02-01")]
    assert cohort_span(data.outline()) == cohort_span(whole)


def test_an_accounts_hash_is_the_same_for_ever():
    """Whoever changes these numbers changes which part of an old output a lead is in."""
    ids = pl.Series(["A1", "lead:L7", "", "Zürich", "A1"])
    expected = [1293942321, 1162508351, 0, 241193438, 1293942321]
    assert account_hashes(ids).tolist() == expected


@given(hashes=st.lists(st.integers(0, 2**32 - 1)), n_partitions=st.integers(1, 10_000))
def test_partitions_are_equal_stretches_of_the_hashes(hashes, n_partitions):
    found = partition_of(np.array(hashes, dtype=np.uint32), n_partitions)
    assert found.tolist() == [h * n_partitions // 2**32 for h in hashes]


@pytest.mark.parametrize("spelling", ["A{:06}", "{}", "lead:L{:07}", "account-{}-eu"])
def test_numbered_accounts_spread_evenly(spelling):
    ids = pl.Series([spelling.format(i) for i in range(40_000)])
    sizes = np.bincount(partition_of(account_hashes(ids), 40), minlength=40)
    assert sizes.min() > 850
    assert sizes.max() < 1150
