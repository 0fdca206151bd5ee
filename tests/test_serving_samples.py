"""Samples on disk when something goes wrong: nothing stays behind, and what is kept is no loss."""

import os
from datetime import timedelta

import pytest

from intentcast.histories import history_from_json
from intentcast.replay import read_log
from serving.samples import Samples, SampleSettings
from tests.serving_requests import NOW, request

ANSWER = {"model": {"sha256": "a"}, "tier": "hot"}
LONG_AGO = (NOW - timedelta(days=31)).timestamp()


@pytest.fixture
def told():
    """Return what was told of: kinds of errors, and a mark for each answer that was dropped."""
    return [], []


def write(folder, told, answer=ANSWER, **settings):
    """Have one answer written, as a server would."""
    errors, dropped = told
    chosen = {"share": 1.0, "days": 30.0, "max_bytes": 10**9, **settings}
    samples = Samples(
        SampleSettings(folder, **chosen),
        now=lambda: NOW,
        on_drop=lambda: dropped.append(1),
        on_error=errors.append,
    )
    samples.start()
    samples.offer(history_from_json(request()), answer, explain=True)
    samples.stop()


def old(path, content=b"x" * 100):
    path.write_bytes(content)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def test_what_cannot_be_written_leaves_nothing_behind_and_is_counted(tmp_path, told):
    write(tmp_path, told, {"tier": "an answer of no model"})
    assert told == (["KeyError"], [1])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone_once_it_is_looked_at_is_no_loss(tmp_path, told):
    # Listed, and not there: as one is that another worker has just removed.
    (tmp_path / "sample-20260101T000000-1-1.parquet").symlink_to(tmp_path / "gone")
    late = old(tmp_path / "sample-20260101T000001-1-1.parquet")
    write(tmp_path, told)
    assert told == ([], [])
    assert not late.exists()


def test_what_cannot_be_removed_is_told_and_the_answer_is_kept_all_the_same(tmp_path, told):
    folder = tmp_path / "sample-20260101T000000-1-1.parquet"
    folder.mkdir()
    os.utime(folder, (LONG_AGO, LONG_AGO))
    write(tmp_path, told)
    errors, dropped = told
    assert len(errors) == 1
    assert dropped == []
    folder.rmdir()
    assert len(read_log(tmp_path)) == 1


@pytest.mark.parametrize("limit", [{}, {"max_bytes": 1}])
def test_what_a_killed_process_left_goes_and_what_another_writes_now_stays(tmp_path, told, limit):
    left = old(tmp_path / ".sample-20260101T000000-1-1.parquet")
    now = tmp_path / ".sample-20261121T095959-2-1.parquet"
    now.write_bytes(b"x" * 100)
    os.utime(now, (NOW.timestamp() - 1, NOW.timestamp() - 1))
    write(tmp_path, told, **limit)
    assert told == ([], [])
    assert not left.exists()
    assert now.exists()
