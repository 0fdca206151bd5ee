"""`promote` and `rollback` as anyone runs them, on bundles of the tiny world."""

import json
import shutil
import sys

import pytest

from intentcast.cli.main import main
from intentcast.registry import parameter_of
from tests.cli.conftest import Done, start
from tests.tiny_world import tiny_bundle_folder, tiny_folder

GATE = (
    "window_days = 56\nlog_loss_margin = 1\nconversions_margin = 1\n"
    "slope_low = 0.01\nslope_high = 100\nlevel_margin = 5\n"
)


# MLflow asks SQLAlchemy for a loader that will go away; that is between the two of them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning:mlflow"
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An empty registry; making one takes MLflow longer than all else here."""
    folder = tmp_path_factory.mktemp("registry")
    assert parameter_of("tiny", "absent", "data", store=folder) is None
    return folder


@pytest.fixture
def shop(tmp_path, store):
    """A folder with two bundles, the first of them champion."""
    shutil.copytree(store, tmp_path / "models" / "registry")
    bundles = tmp_path / "models" / "bundles"
    for number in (1, 2):
        shutil.copytree(tiny_bundle_folder(), bundles / f"tiny-2026-01-02.{number}")
    reign = {"bundle": "tiny-2026-01-02.1", "since": "2026-01-02", "reason": "the first"}
    (bundles / "champions.json").write_text(json.dumps({"tiny": [reign]}))
    (tmp_path / "gate.toml").write_text(GATE)
    return tmp_path


def champion(shop):
    kept = json.loads((shop / "models" / "bundles" / "champions.json").read_text())
    return kept["tiny"][-1]["bundle"]


def arguments(*more, number=2):
    return [
        "promote", f"models/bundles/tiny-2026-01-02.{number}", "--data", str(tiny_folder()),
        "--gate", "gate.toml", *more,
    ]  # fmt: skip


@pytest.fixture
def promote(shop, monkeypatch, capsys):
    """Return a function that runs `promote` in this process."""

    def run(*more, number=2):
        with monkeypatch.context() as patched:
            patched.chdir(shop)
            patched.setattr(sys, "argv", ["intentcast", *arguments(*more, number=number)])
            with pytest.raises(SystemExit) as done:
                main()
        printed = capsys.readouterr()
        return Done(done.value.code or 0, printed.out, printed.err)

    return run


def test_a_challenger_that_passes_takes_the_place_and_rollback_gives_it_back(shop):
    done = start(*arguments(), cwd=shop)
    assert done.code == 0, done.stderr
    assert "is the champion of tiny" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert champion(shop) == "tiny-2026-01-02.2"
    kept = json.loads((shop / "models/bundles/tiny-2026-01-02.2.gate.json").read_text())
    assert kept["passed"]
    assert kept["champion"] == "tiny-2026-01-02.1"
    back = start("rollback", "--reason", "a test", "--json", cwd=shop)
    assert back.json["champion"] == champion(shop) == "tiny-2026-01-02.1"
    assert back.json["was"] == "tiny-2026-01-02.2"


def test_a_challenger_that_fails_is_refused_with_the_reason_on_record_unless_waived(shop, promote):
    (shop / "gate.toml").write_text(GATE.replace("slope_low = 0.01", "slope_low = 50"))
    done = promote()
    assert done.code == 3
    assert champion(shop) == "tiny-2026-01-02.1"
    kept = json.loads((shop / "models/bundles/tiny-2026-01-02.2.gate.json").read_text())
    assert not kept["passed"]
    assert "calibration:" in kept["reason"]
    assert "calibration:" in done.stderr
    assert promote("--accept", "calibration").code == 2, "a waiver needs a name"
    done = promote("--accept", "calibration", "--by", "A. Owner")
    assert done.code == 0, done.stderr
    kept = json.loads((shop / "models/bundles/champions.json").read_text())["tiny"][-1]
    assert "calibration, waived by A. Owner" in kept["reason"]


def test_the_champion_cannot_challenge_itself_and_a_first_one_has_nowhere_to_go_back_to(
    shop, promote
):
    done = promote(number=1)
    assert done.code == 2
    assert "is the champion already" in done.stderr
    back = start("rollback", cwd=shop)
    assert back.code == 2
    assert "at least two promotions" in back.stderr


def test_a_damaged_challenger_is_refused_and_the_champion_stays(shop, promote):
    path = shop / "models/bundles/tiny-2026-01-02.2/calibration.json"
    path.write_bytes(path.read_bytes()[:-9])
    assert promote().code == 2
    assert champion(shop) == "tiny-2026-01-02.1"
