"""Which bundle is in production: one small file, whole or absent."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from intentcast.champions import FILE, Reign, champion, crown, predecessor, reigns
from intentcast.errors import InputError


def reign(bundle, why="because"):
    return Reign(bundle, "2026-01-02T00:00:00+00:00", why)


def test_nobody_is_champion_at_first(tmp_path):
    assert champion(tmp_path, "a") is None
    assert predecessor(tmp_path, "a") is None


def test_the_latest_is_champion_and_each_model_has_its_own(tmp_path):
    for name, bundle in (("a", "a-1"), ("b", "b-1"), ("a", "a-2")):
        crown(tmp_path, name, reign(bundle))
    assert champion(tmp_path, "a") == tmp_path / "a-2"
    assert champion(tmp_path, "b") == tmp_path / "b-1"
    assert [r.bundle for r in reigns(tmp_path, "a")] == ["a-1", "a-2"]


def test_going_back_twice_returns_to_where_one_was(tmp_path):
    for bundle in ("a-1", "a-2"):
        crown(tmp_path, "a", reign(bundle))
    for expected in ("a-1", "a-2", "a-1"):
        before = predecessor(tmp_path, "a")
        assert before.bundle == expected
        crown(tmp_path, "a", reign(before.bundle, "rollback"))
    assert len(reigns(tmp_path, "a")) == 5


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", '{"a": {}}', '{"a": [{}]}', '{"a": ["x"]}', '{"a": [{"bundle": "x"}]}',
        '{"a": [{"bundle": "../x", "since": "", "reason": ""}]}',
        '{"a": [{"bundle": "/etc", "since": "", "reason": ""}]}',
        '{"a": [{"bundle": 1, "since": "", "reason": ""}]}',
        "[" * 100_000,
    ],
)  # fmt: skip
def test_a_file_that_is_something_else_is_refused_and_kept(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    for use in (lambda: champion(tmp_path, "a"), lambda: crown(tmp_path, "a", reign("a-1"))):
        with pytest.raises(InputError, match=r"champions\.json cannot be read"):
            use()
    assert (tmp_path / FILE).read_text() == text


def test_a_process_killed_while_it_crowns_leaves_the_old_champion_or_the_new(tmp_path):
    crown(tmp_path, "a", reign("a-0"))
    code = (
        "import sys; from pathlib import Path\n"
        "from intentcast.champions import Reign, crown\n"
        "print('ready', flush=True)\n"
        "for i in range(10**6): crown(Path(sys.argv[1]), 'a', Reign(f'a-{i}', 'x', 'y' * 50))\n"
    )
    for wait in (0.0, 0.003, 0.01, 0.03):
        running = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert running.stdout.readline() == "ready\n"
        time.sleep(wait)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        assert champion(tmp_path, "a").name.startswith("a-")
        json.loads((tmp_path / FILE).read_bytes())
    assert os.listdir(tmp_path).count(FILE) == 1
