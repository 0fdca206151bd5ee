"""Features of a whole data set: resumed after any death, refused in the wrong folder."""

import hashlib
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from intentcast.config import FeatureSettings
from intentcast.engines import FeatureJob, FeaturePart, FeatureRequest, LocalEngine, write_features
from intentcast.engines.feature_folder import FeatureFolder
from intentcast.engines.feature_job import enough_partitions
from intentcast.engines.pace import Pace, clock
from intentcast.engines.selection import chosen
from intentcast.errors import InputError, RefusedError
from intentcast.sources.partitioned import load_entities
from tests.conftest import START, WORLD_SETTINGS, event, world, write_dataset
from tests.fixtures_world import world_folder

SMALL = FeatureSettings(half_lives_days=(3.0,), windows_days=(7, 30), clustered_themes=0)
QUICK = "[features]\nhalf_lives_days = [3]\nwindows_days = [7, 30]\nclustered_themes = 0\n"
N_PARTITIONS = 12


# The engine of one machine


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_item_is_worked_on_once(threads):
    found = LocalEngine(threads).run(lambda n: n * n, range(20))
    assert sorted(found) == [n * n for n in range(20)]


def test_items_are_taken_only_as_threads_become_free():
    taken, done = [], []

    def items():
        for number in range(12):
            assert len(taken) - len(done) <= 2 + 1, "more in memory than at work and one in wait"
            taken.append(number)
            yield number

    for result in LocalEngine(2).run(lambda number: number, items()):
        done.append(result)
    assert sorted(done) == list(range(12))


def test_two_threads_work_at_once():
    together = threading.Barrier(2, timeout=10)
    assert sorted(LocalEngine(2).run(lambda n: together.wait() * 0 + n, [1, 2])) == [1, 2]


def test_an_error_ends_the_run_and_leaves_out_what_has_not_begun():
    begun = []

    def work(number):
        begun.append(number)
        if number == 3:
            raise InputError("x", expected="y", next_step="z")
        return number

    with pytest.raises(InputError, match="Found: x"):
        list(LocalEngine(2).run(work, range(1000)))
    assert len(begun) < 20


# Progress


def test_pace_says_rate_and_time_left(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("intentcast.engines.pace.time.monotonic", lambda: now[0])
    pace = Pace(1000)
    now[0] += 10
    assert pace.add(200)
    assert str(pace) == "20 events/s, 0:40 left"
    now[0] += 0.5
    assert not pace.add(10), "not twice in a second"
    assert pace.add(790), "the end is always said"
    assert str(pace).endswith(", 0:00 left")


def test_pace_without_a_known_end_says_the_rate_only(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("intentcast.engines.pace.time.monotonic", lambda: now[0])
    pace = Pace(None)
    now[0] += 2
    assert pace.add(3000)
    assert str(pace) == "1,500 events/s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3725, "1:02:05")]
)
def test_a_duration_is_read_at_a_glance(seconds, text):
    assert clock(seconds) == text


# The folder


def prints(folder):
    """Each part's bytes as a digest, and what a rewrite would change of its file."""
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns,
                    path.stat().st_ino)
        for path in sorted(folder.glob("part-*.parquet"))
    }  # fmt: skip


def contents(folder):
    return {name: digest for name, (digest, _, _) in prints(folder).items()}


def request(out, *, data=None, **changed):
    wanted = {
        "bundle": None,
        "known_by": None,
        "as_of": None,
        "n_partitions": N_PARTITIONS,
        "settings": SMALL,
        "seed": 7,
    }
    return FeatureRequest(data or world_folder(), out, **{**wanted, **changed})


def compute(out, *, threads=2, resume=True, said=None, **changed):
    say = None if said is None else said.append
    return write_features(
        request(out, **changed), engine=LocalEngine(threads), resume=resume, on_progress=say
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The output of a run that nothing interrupted; never written to."""
    out = tmp_path_factory.mktemp("undisturbed") / "features"
    compute(out)
    return out


def test_an_output_is_its_parts_a_manifest_and_the_job(undisturbed):
    names = {path.name for path in undisturbed.iterdir()}
    parts = {f"part-{number:05}.parquet" for number in range(N_PARTITIONS)}
    assert names == {*parts, "manifest.json", "job.json", ".lock"}
    manifest = json.loads((undisturbed / "manifest.json").read_text())
    frame = pl.read_parquet(undisturbed / "part-*.parquet")
    assert frame.columns == ["lead_id", "account_id", "as_of", *manifest["names"]]
    assert set(frame.dtypes[3:]) == {pl.Float32}
    assert frame.select("lead_id", "as_of").is_unique().all()
    assert len(frame) == manifest["n_rows"] == sum(part["n_rows"] for part in manifest["parts"])
    assert (
        frame["as_of"].unique().dt.strftime("%Y-%m-%dT%H:%M:%S+00:00").sort().to_list()
        == (manifest["as_of_times"])
    )
    assert manifest["vocabulary"]["known_by"] == manifest["as_of_times"][0]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_job_elsewhere_writes_the_same_bytes(undisturbed, tmp_path, threads):
    compute(tmp_path / "again", threads=threads)
    assert contents(tmp_path / "again") == contents(undisturbed)


def test_a_finished_job_is_not_done_again(tmp_path):
    compute(tmp_path / "out", n_partitions=3)
    before, said = prints(tmp_path / "out"), []
    done = compute(tmp_path / "out", n_partitions=3, said=said)
    assert done.n_resumed == 3
    assert prints(tmp_path / "out") == before
    assert not [line for line in said if "events" in line]


def begun(out, *, finished):
    """Leave an output as a run leaves it that died after some parts."""
    compute(out)
    (out / "manifest.json").unlink()
    for path in sorted(out.glob("part-*.parquet"))[finished:]:
        path.unlink()
    return prints(out)


def test_what_is_finished_is_left_alone_and_half_files_do_not_count(undisturbed, tmp_path):
    out = tmp_path / "out"
    before = begun(out, finished=5)
    whole = (undisturbed / "part-00007.parquet").read_bytes()
    # As a kill leaves it, under its own name; and as a disk leaves it that lied about syncing.
    (out / ".part-00006.parquet").write_bytes(whole[:1000])
    (out / "part-00007.parquet").write_bytes(whole[: len(whole) // 2])
    (out / "part-00008.parquet").write_bytes(b"")
    done = compute(out)
    assert done.n_resumed == 5
    assert {name: kept for name, kept in prints(out).items() if name in before} == before
    assert contents(out) == contents(undisturbed)
    assert not list(out.glob(".part-*"))
    assert done.manifest == json.loads((undisturbed / "manifest.json").read_text())


def test_a_part_of_another_job_does_not_count(undisturbed, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    begun(out, finished=2)
    compute(other, settings=SMALL.model_copy(update={"windows_days": (7, 14)}))
    (other / "part-00001.parquet").replace(out / "part-00001.parquet")
    done = compute(out)
    assert done.n_resumed == 1
    assert contents(out) == contents(undisturbed)


def test_events_already_read_are_not_read_again_unless_they_are_damaged(
    undisturbed, tmp_path, monkeypatch
):
    out = tmp_path / "out"

    def died(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("intentcast.engines.feature_job.FeatureJob.__call__", died)
        with pytest.raises(KeyboardInterrupt):
            compute(out, threads=1)
    assert (out / ".spill" / "index.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr("intentcast.engines.feature_job.FeatureJob.__call__", died)
        said = []
        with pytest.raises(KeyboardInterrupt):
            compute(out, threads=1, said=said)
        assert "reading events" not in said
    events = out / ".spill" / "events.bin"
    damaged = bytearray(events.read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 4096] = bytes(4096)
    events.write_bytes(damaged)
    said = []
    compute(out, said=said)
    assert "reading events" in said
    assert contents(out) == contents(undisturbed)
    assert not (out / ".spill").exists()


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        ({"n_partitions": 5}, "partitions"),
        ({"as_of": START + timedelta(days=400)}, "as of"),
        ({"known_by": START + timedelta(days=400)}, "known by"),
        ({"settings": SMALL.model_copy(update={"windows_days": (7,)})}, "settings"),
        ({"seed": 8}, "seed"),
    ],
)
def test_another_job_in_the_same_folder_is_refused(undisturbed, change, differing):
    before = prints(undisturbed)
    with pytest.raises(InputError, match=r"Found: features of another job in .*Next: ") as caught:
        compute(undisturbed, **change)
    assert f", which differs in {differing}. Expected: " in str(caught.value)
    assert "give --no-resume" in str(caught.value)
    assert prints(undisturbed) == before


def test_other_data_in_the_same_folder_are_another_job(tmp_path):
    tables = world(3, n_leads=12)
    data = write_dataset(tmp_path / "data", **tables, settings=WORLD_SETTINGS, suffix=".parquet")
    compute(tmp_path / "out", data=data, n_partitions=2)
    for path in data.iterdir():
        path.touch()
    assert compute(tmp_path / "out", data=data, n_partitions=2).n_resumed == 2, "only touched"
    tables["events"][0]["content"] = "other"
    write_dataset(data, **tables, settings=WORLD_SETTINGS, suffix=".parquet")
    with pytest.raises(InputError, match="which differs in data"):
        compute(tmp_path / "out", data=data, n_partitions=2)


def test_without_resume_only_what_a_job_wrote_is_removed(tmp_path, undisturbed):
    out = tmp_path / "out"
    compute(out, n_partitions=5)
    (out / "notes.txt").write_text("mine")
    done = compute(out, resume=False)
    assert done.n_resumed == 0
    assert contents(out) == contents(undisturbed)
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_with_other_files_is_refused_and_untouched(tmp_path, resume):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"not an empty folder \(it has thesis\.txt\)"):
        compute(tmp_path, resume=resume)
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt"}


def test_a_job_that_cannot_be_read_is_another_job(tmp_path):
    compute(tmp_path / "out", n_partitions=2)
    (tmp_path / "out" / "job.json").write_text("{")
    with pytest.raises(InputError, match="features of another job"):
        compute(tmp_path / "out", n_partitions=2)


def test_a_program_that_computes_something_else_does_not_go_on(tmp_path):
    out = tmp_path / "out"
    begun(out, finished=2)
    job = json.loads((out / "job.json").read_text())
    job["plan"]["feature_hash"] = "0" * 16
    (out / "job.json").write_text(json.dumps(job))
    with pytest.raises(
        InputError, match="another version of the program began: they differ in feature hash"
    ):
        compute(out)


def test_one_process_at_a_time(tmp_path):
    with (
        FeatureFolder(tmp_path, {"a": 1}),
        pytest.raises(InputError, match="another process writes to"),
        FeatureFolder(tmp_path, {"a": 1}),
    ):
        pass
    with FeatureFolder(tmp_path, {"a": 1}):
        pass


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"cannot write .*file/out"):
        compute(tmp_path / "file" / "out")


def test_a_full_disk_leaves_no_half_file(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("intentcast.engines.feature_folder.os.fsync", full)
    with FeatureFolder(tmp_path, {}) as folder:
        with pytest.raises(InputError, match="No space left on device"):
            folder.write_part(FeaturePart(0, 1, 1, 0), pl.DataFrame({"a": [1.0]}))
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


# What it computes


def test_an_as_of_time_may_be_given(tmp_path):
    moment = START + timedelta(days=500)
    done = compute(tmp_path / "out", as_of=moment, n_partitions=2)
    assert done.manifest["as_of_times"] == [moment.isoformat()]
    assert done.manifest["vocabulary"]["known_by"] == moment.isoformat()


def test_only_some_features_are_the_same_bits_as_among_all(undisturbed, tmp_path):
    wanted = ("*.count.*.30d", "account.people_engaged.*", "lifecycle.age.first_event.days")
    done = compute(tmp_path / "out", only=wanted)
    names = done.manifest["names"]
    assert {name.split(".")[1] for name in names} == {"count", "people_engaged", "age"}
    assert len(names) == done.manifest["n_features"] < 60
    columns = ["lead_id", "account_id", "as_of", *names]
    some = pl.read_parquet(tmp_path / "out" / "part-*.parquet")
    every = pl.read_parquet(undisturbed / "part-*.parquet", columns=columns)
    assert some.columns == columns
    assert some.equals(every.select(columns))


def test_the_order_of_features_is_not_that_of_the_patterns():
    names = ["a.count.x.7d", "b.count.x.7d", "a.sum.x.7d"]
    assert chosen(names, ["a.sum.*", "*.count.*"]) == tuple(names)
    assert chosen(names, ["b.*"]) == ("b.count.x.7d",)
    assert chosen(names, []) == tuple(names)


def test_a_pattern_without_a_feature_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"no feature called theme\.cuont\.\*.*such as theme\.count"
    ):
        compute(tmp_path / "out", n_partitions=2, only=("theme.cuont.*",))


def test_other_features_are_another_job(tmp_path):
    compute(tmp_path / "out", n_partitions=2, only=("theme.*",))
    with pytest.raises(InputError, match=r"another job.*differs in only"):
        compute(tmp_path / "out", n_partitions=2)


def test_a_partition_without_anybody_is_a_part_without_rows(tmp_path):
    data = write_dataset(
        tmp_path / "data",
        events=[event("L1", START), event("L2", START)],
        outcomes=[],
        settings={"cohort": {"start": START + timedelta(days=1), "end": START + timedelta(days=9)}},
    )
    done = compute(tmp_path / "out", data=data, n_partitions=40)
    rows = [part["n_rows"] for part in done.manifest["parts"]]
    assert len(rows) == 40
    assert rows.count(0) >= 38
    frame = pl.read_parquet(tmp_path / "out" / "part-*.parquet")
    assert sorted(set(frame["lead_id"])) == ["L1", "L2"]


def test_rows_set_aside_are_written_and_counted(tmp_path):
    events = [event("L1", f"2024-01-01T{hour:02}:00:00") for hour in range(20)]
    data = write_dataset(
        tmp_path / "data",
        events=[*events, event("nobody", "2024-01-01"), event("L2", "2024-02-30")],
        settings={"cohort": {"start": START + timedelta(days=2), "end": START + timedelta(days=3)}},
    )
    done = compute(tmp_path / "out", data=data, n_partitions=2)
    found = {table["table"]: table for table in done.manifest["tables"]}
    assert found["events"]["n_rows"] == 22
    assert found["events"]["n_set_aside"] == 2
    assert found["events"]["rules"]["lead_is_in_leads"] == 1
    bad = pl.read_csv(tmp_path / "out" / "quarantine" / "events.csv")
    assert bad["row_number"].to_list() == [21, 22]
    assert bad["lead_id"].to_list() == ["nobody", "L2"]


def test_the_partition_function_works_where_it_is_sent_to(undisturbed, tmp_path):
    """An engine of several machines sends it as bytes; here they come back to this one."""
    sent = []

    class Elsewhere(LocalEngine):
        def run(self, work, items):
            if isinstance(work, FeatureJob):
                sent.append(work := pickle.loads(pickle.dumps(work)))
            yield from super().run(work, items)

    write_features(request(tmp_path / "out"), engine=Elsewhere(2))
    assert len(sent) == 1
    assert contents(tmp_path / "out") == contents(undisturbed)


def test_nobody_in_the_cohort_is_refused(tmp_path):
    with pytest.raises(RefusedError, match="nobody in the cohort from 2090-01-01"):
        compute(tmp_path / "out", as_of=START.replace(year=2090), n_partitions=2)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_no_event_before_the_first_as_of_time_to_learn_from_is_refused(tmp_path):
    with pytest.raises(RefusedError, match=r"no event known before 1999.*give --known-by"):
        compute(tmp_path / "out", as_of=START.replace(year=1999), n_partitions=2)


def test_too_many_bad_rows_stop_the_run(tmp_path):
    data = write_dataset(tmp_path / "data", events=[event("nobody", START)] * 3)
    with pytest.raises(InputError, match=r"3 of 3 rows of events\.csv break a rule"):
        compute(tmp_path / "out", data=data)
    assert not list((tmp_path / "out").glob("part-*"))


def test_partitions_are_as_many_as_keep_each_small(tmp_path):
    moment = START + timedelta(days=30)
    one = load_entities(write_dataset(tmp_path / "one"))
    assert enough_partitions(one, moment) == 1
    rows = pl.DataFrame([event("L1", START)]).select(pl.all().repeat_by(600_001).explode())
    many = load_entities(write_dataset(tmp_path / "many", events=rows, suffix=".parquet"))
    assert enough_partitions(many, moment) == 3


# Killed


def process(out, *, data):
    settings = data.parent / "only-small-features.toml"
    if not settings.exists():
        settings.write_text(QUICK)
    arguments = ["features", data, "--out", out, "--partitions", N_PARTITIONS]
    return subprocess.Popen(
        [sys.executable, "-m", "intentcast", *map(str, arguments), "--settings", str(settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
    )


def kill_when(running, is_time, *, after=0.0):
    """Kill a process without warning once something holds; return whether it was in time."""
    deadline = time.monotonic() + 120
    while running.poll() is None and not is_time():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(after)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    return running.returncode == -signal.SIGKILL


def n_parts(out):
    return len(list(out.glob("part-*.parquet")))


def finish(out, *, data):
    running = process(out, data=data)
    printed, errors = running.communicate()
    assert running.returncode == 0, errors
    return printed


def test_a_killed_run_goes_on_where_it_was(undisturbed, tmp_path):
    out, data = tmp_path / "out", world_folder()
    assert kill_when(process(out, data=data), lambda: n_parts(out) >= 3)
    before = prints(out)
    assert 3 <= len(before) < N_PARTITIONS
    assert not (out / "manifest.json").exists()
    printed = finish(out, data=data)
    assert f"{len(before)} of them finished before" in " ".join(printed.split())
    assert {name: kept for name, kept in prints(out).items() if name in before} == before
    assert contents(out) == contents(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_kills_at_any_moments_change_nothing(undisturbed, tmp_path, seed):
    rng = random.Random(seed)
    out, data = tmp_path / "out", world_folder()
    finished = {}
    for _ in range(6):
        until = rng.choice([0, 0, rng.randrange(N_PARTITIONS)])
        started = time.monotonic()
        begins = started + rng.uniform(0.0, 3.0)
        in_time = kill_when(
            process(out, data=data),
            lambda until=until, begins=begins: n_parts(out) >= until and time.monotonic() > begins,
            after=rng.uniform(0.0, 0.2),
        )
        now = prints(out)
        assert {name: kept for name, kept in now.items() if name in finished} == finished
        finished = now
        if not in_time:
            break
    finish(out, data=data)
    assert {name: kept for name, kept in prints(out).items() if name in finished} == finished
    assert contents(out) == contents(undisturbed)
    manifests = [(folder / "manifest.json").read_text() for folder in (out, undisturbed)]
    assert manifests[0] == manifests[1]
    assert {path.name for path in Path(out).iterdir()} == {
        path.name for path in undisturbed.iterdir()
    }
