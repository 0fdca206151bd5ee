import json
import math
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from intentcast.errors import InputError
from intentcast.files import json_bytes, plain, write_atomic


def test_the_file_has_the_bytes_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "new" / "folder" / "report.json"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["report.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_place_below_a_file_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="Expected: a folder that can be written to"):
        write_atomic(tmp_path / "file" / "report.json", b"one")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_in_the_files_place_is_refused_and_nothing_is_left_beside_it(tmp_path):
    (tmp_path / "report.json" / "inner").mkdir(parents=True)
    with pytest.raises(InputError, match=r"cannot write .*report\.json"):
        write_atomic(tmp_path / "report.json", b"one")
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        write_atomic(tmp_path / "report.json", b"one")


def test_where_there_is_no_room_the_old_file_stays_whole(tmp_path):
    """A limit on the size of files stops a write half-way, as a full disk would."""
    path = tmp_path / "report.json"
    write_atomic(path, b"old")
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from intentcast.errors import InputError\n"
        "from intentcast.files import write_atomic\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_atomic(Path(sys.argv[1]), bytes(5000))\n"
        "except InputError as error:\n    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith(f"Found: cannot write {path}")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_json_is_text_in_utf8_that_ends_with_a_line():
    assert json_bytes({"naïve": [1, 2.5, None]}).decode() == (
        '{\n "naïve": [\n  1,\n  2.5,\n  null\n ]\n}\n'
    )


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_bytes({"p": value})


def test_what_json_cannot_say_is_null_or_text_wherever_it_is():
    moment = datetime(2025, 3, 3, tzinfo=UTC)
    value = {"a": [1.5, math.nan, (math.inf, {"b": -math.inf})], "c": moment, "d": True, "e": None}
    found = plain(value)
    assert found == {
        "a": [1.5, None, [None, {"b": None}]],
        "c": "2025-03-03T00:00:00+00:00",
        "d": True,
        "e": None,
    }
    assert json.loads(json_bytes(found)) == found
