"""What tests share: made by one process, seen whole by all, gone in the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared_place import VARIABLE, once, place

ROOT = Path(__file__).parents[1]
MAKER = """
import time
from tests.shared_place import once, place

def make(folder):
    (folder / "first").write_text("1")
    time.sleep(0.3)
    (folder / "last").write_text("1")
    print("made")

print(*sorted(path.name for path in once("x", make).iterdir()))
print(place())
"""


def started(shared):
    return subprocess.Popen(
        [sys.executable, "-c", MAKER],
        cwd=ROOT, env={**os.environ, VARIABLE: str(shared)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_one_process_makes_what_all_of_them_see_whole(tmp_path):
    told = [process.communicate(timeout=60)[0] for process in [started(tmp_path) for _ in range(3)]]
    assert "".join(told).count("made") == 1
    assert all("first last\n" in text for text in told)
    # And each has a place of its own.
    assert len({text.splitlines()[-1] for text in told}) == 3


def test_what_could_not_be_made_is_made_by_the_next(tmp_path):
    name = f"tried-{tmp_path.name}"

    def fails(folder):
        (folder / "half").touch()
        raise ValueError

    for make in (fails, fails, lambda folder: (folder / "whole").touch(), fails):
        try:
            found = once(name, make)
        except ValueError:
            continue
        assert [path.name for path in found.iterdir()] == ["whole"]
    assert found.parent == place().parent


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["-n", "1"]])
def test_a_run_leaves_nothing_behind(tmp_path, more):
    fact = f"{__file__}::test_what_could_not_be_made_is_made_by_the_next"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *more, fact],
        cwd=ROOT, env={**environment, "TMPDIR": str(tmp_path)}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("intentcast")]
