"""What a server answered is sampled, bounded, and comes out the same to the bit when replayed."""

import json
import os
import stat
import time
from datetime import timedelta

import polars as pl
import pytest
import typer

from intentcast.cli.replay import run as replay_command
from intentcast.errors import InputError, RefusedError
from intentcast.histories import history_from_json
from intentcast.replay import read_log, replay
from intentcast.scoring import load_bundle
from serving.samples import Samples, SampleSettings
from tests.serving_requests import NOW, event, request, serve

pytest_plugins = ["tests.serving_world"]

STRANGE = event("L1", event_type="séance", value=0.1)
REQUESTS = (
    request(),
    request(explain=False),
    request(events=[]),
    request(as_of="2026-08-01T00:00:00+02:00", outcomes=[], colleagues=[]),
    request(events=[event(value=1 / 3, duration_seconds=1e-9), event("L3"), STRANGE]),
    request(as_of="2026-11-20T10:00:00Z"),
    request(horizons_days=[7, 45]),
    {"lead": {"lead_id": " Zoë ", "created_at": "2026-05-02T09:00:00.123456Z"}},
)


@pytest.fixture(scope="module", params=["boosted", "logistic"])
def logged(request, world, tmp_path_factory):
    """Return a bundle's folder and the log of a server of it."""
    folder, log = getattr(world, request.param), tmp_path_factory.mktemp("log") / "samples"
    with serve(folder, sample_to=log, sample_share=1) as client:
        for body in REQUESTS:
            assert client.post("/v1/predictions", json=body).status_code == 200
        client.post("/v1/predictions:batch", json=[*REQUESTS, {}, REQUESTS[0]])
    return folder, log


def test_every_logged_answer_comes_out_the_same_by_both_paths(logged):
    folder, log = logged
    rows = read_log(log)
    assert len(rows) == 2 * len(REQUESTS) + 1
    found = replay(load_bundle(folder), rows)
    assert found.differences == ()
    assert (found.n_equal, found.n_other, found.n_different) == (len(rows), 0, 0)


def test_the_log_holds_what_was_scored_for_the_server_s_user_alone(logged):
    _, log = logged
    for file in log.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    leads = {history_from_json(json.loads(text)).lead_id for text in read_log(log)["request"]}
    assert leads == {"L1", "Zoë"}


def changed(rows, place, value):
    """Return a log whose first row's answer has another value at a place."""
    answer = json.loads(rows["answer"][0])
    *steps, last = place
    part = answer
    for step in steps:
        part = part[step]
    part[last] = value(part[last])
    answers = [json.dumps(answer), *rows["answer"][1:]]
    return rows.with_columns(answer=pl.Series(answers))


def one_bit(value):
    import math

    return math.nextafter(value, 1)


@pytest.mark.parametrize(
    ("place", "change", "named"),
    [
        (("probabilities", 0, "probability"), one_bit, 2),
        (("probabilities", 1, "low"), one_bit, 2),
        (("tier",), lambda _: "lava", 1),
        (("stage",), lambda _: "afterlife", 1),
        (("probabilities", 0, "horizon_days"), float, 1),
    ],
)
def test_one_bit_that_differs_is_named(logged, place, change, named):
    folder, log = logged
    rows = read_log(log)
    found = replay(load_bundle(folder), changed(rows, place, change))
    assert (found.n_different, found.n_equal) == (1, len(rows) - 1)
    fields = {difference.field for difference in found.differences}
    assert len(fields) == named
    assert all(".".join(map(str, place)) in field for field in fields)
    assert found.differences[0].request_id == rows["request_id"][0]


def test_answers_of_another_bundle_are_counted_and_left_out(logged, world):
    folder, log = logged
    other = world.logistic if folder == world.boosted else world.boosted
    found = replay(load_bundle(other), read_log(log))
    assert (found.n_other, found.n_equal, found.n_different) == (found.n_answers, 0, 0)
    with pytest.raises(RefusedError, match="none of 17 answers"):
        replay_command(log, other)


def test_the_command_says_which_differ_and_ends_with_3(logged, tmp_path, capsys):
    folder, log = logged
    replay_command(log, folder, as_json=True)
    assert json.loads(capsys.readouterr().out)["n_equal"] == 17
    changed(read_log(log), ("tier",), lambda _: "lava").write_parquet(tmp_path / "log.parquet")
    with pytest.raises(typer.Exit) as ended:
        replay_command(tmp_path / "log.parquet", folder, as_json=True)
    assert ended.value.exit_code == 3
    told = json.loads(capsys.readouterr().out)
    assert [row["field"] for row in told["differences"]] == ["tier"]
    with pytest.raises(RefusedError, match="1 of 17 answers come out otherwise, first tier of"):
        replay_command(tmp_path / "log.parquet", folder)
    printed = capsys.readouterr().out
    assert "16 of 2026-01-02" in printed
    assert "  tier\n    logged lava\n    now    " in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_what_is_no_log_is_refused(tmp_path):
    with pytest.raises(InputError, match="no log in"):
        read_log(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"a\.parquet is not a log of answers"):
        read_log(tmp_path)
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet is not a log of answers"):
        read_log(tmp_path / "a.parquet")


def test_without_a_folder_nothing_is_sampled_and_a_share_is_a_share(world, tmp_path):
    with serve(world.logistic) as client:
        assert client.app.state.server.samples is None
    log = tmp_path / "samples"
    with serve(world.logistic, sample_to=log, sample_share=0.3) as client:
        for i in range(60):
            headers = {"X-Request-ID": f"request-{i}"}
            client.post("/v1/predictions", json=request(explain=False), headers=headers)
    assert 8 <= len(read_log(log)) <= 30


def samples(folder, *, now=lambda: NOW, days=30.0, max_bytes=10**9, dropped=None, errors=None):
    return Samples(
        SampleSettings(folder, 1.0, days, max_bytes),
        now=now,
        on_drop=lambda: dropped.append(1),
        on_error=lambda kind: errors.append(kind),
    )


ANSWER = {"model": {"sha256": "a"}, "tier": "hot"}


def history():
    return history_from_json(request())


def test_what_finds_no_room_is_dropped_at_once_and_counted(tmp_path):
    dropped = []
    full = samples(tmp_path, dropped=dropped)
    started = time.perf_counter()
    for _ in range(1000):
        full.offer(history(), ANSWER, explain=True)
    assert time.perf_counter() - started < 2
    assert len(dropped) == 800
    full.start()
    full.stop()
    assert len(read_log(tmp_path)) == 200


def test_a_folder_that_cannot_be_written_to_is_told_and_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    dropped, errors = [], []
    broken = samples(tmp_path / "file", dropped=dropped, errors=errors)
    broken.start()
    broken.offer(history(), ANSWER, explain=True)
    broken.stop()
    assert errors == ["FileExistsError"]
    assert len(dropped) == 1


def test_samples_go_after_their_days_and_beyond_their_bytes_the_oldest_first(tmp_path):
    old = tmp_path / "sample-20260101T000000-1-1.parquet"
    mine = tmp_path / "mine.parquet"
    for path in (old, mine):
        path.write_bytes(b"x" * 100)
        moment = (NOW - timedelta(days=31)).timestamp()
        os.utime(path, (moment, moment))
    for i, expected in enumerate([1, 2, 2, 2]):
        kept = samples(tmp_path, now=lambda i=i: NOW + timedelta(seconds=i), max_bytes=12_000)
        kept.start()
        kept.offer(history(), {**ANSWER, "x": os.urandom(2000).hex()}, explain=True)
        kept.stop()
        names = sorted(path.name for path in tmp_path.glob("sample-*"))
        assert len(names) == expected, [path.stat().st_size for path in tmp_path.iterdir()]
        assert any(f"T1000{i:02}" in name for name in names)
    assert mine.exists()
    assert not old.exists()
