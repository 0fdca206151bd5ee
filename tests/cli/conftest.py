"""The program as a real process, as anyone runs it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import polars as pl
import pytest

from tests.fixtures_world import CONFIG_TOML, place, world_folder

COMMANDS = (
    "simulate",
    "check",
    "themes",
    "features",
    "train",
    "backtest",
    "retrain",
    "calibrate",
    "recalibrate",
    "score",
    "accounts",
    "explain",
    "reprice",
    "distil",
    "export",
    "forecast",
    "feedback",
    "explore",
    "monitor",
    "promote",
    "rollback",
    "serve",
    "replay",
    "demo",
)


@dataclass(frozen=True)
class Done:
    """A process that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def error_lines(self):
        """Lines on stderr that are not progress, which begins with seconds."""
        return [
            line
            for line in self.stderr.splitlines()
            if not line.lstrip().partition(" ")[0].replace(".", "").isdigit()
        ]

    @property
    def json(self):
        """What stdout says, if it is one JSON document and nothing else."""
        return json.loads(self.stdout)


def start(*args, cwd, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "intentcast", *map(str, args)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "80", **environment},
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def cli(tmp_path_factory):
    """Return a function that runs `intentcast` with arguments, each set of them once."""
    results = {}
    home = tmp_path_factory.mktemp("home")

    def run(*args, cwd=home):
        key = (cwd, *map(str, args))
        if key not in results:
            results[key] = start(*args, cwd=cwd)
        return results[key]

    run.home = home
    return run


@pytest.fixture(scope="session")
def settings_file():
    """Quick learner settings."""
    path = place() / "quick.toml"
    path.write_text(CONFIG_TOML, encoding="utf-8")
    return path


@pytest.fixture
def variant(tmp_path):
    """Return a function: the small world, or another, with tables or lines of settings changed."""

    def make(*, tables=None, toml=None, of=None):
        folder = tmp_path / "variant"
        folder.mkdir()
        for path in (of or world_folder()).iterdir():
            (folder / path.name).symlink_to(path)
        for table, change in (tables or {}).items():
            path = folder / f"{table}.parquet"
            frame = pl.read_parquet(path)
            path.unlink()
            if change is not None:
                change(frame).write_parquet(path)
        if toml:
            old, new = toml
            text = (folder / "dataset.toml").read_text(encoding="utf-8")
            assert old in text
            (folder / "dataset.toml").unlink()
            (folder / "dataset.toml").write_text(text.replace(old, new), encoding="utf-8")
        return folder

    return make


@pytest.fixture(scope="session")
def trained_run(cli, settings_file):
    """`train --json` on the small world, without the registry."""
    return cli(
        "train", world_folder(), "--settings", settings_file, "--out", "bundles", "--no-registry",
        "--json",
    )  # fmt: skip


@pytest.fixture(scope="session")
def backtest_run(cli, settings_file):
    """`backtest --json` on the small world."""
    return cli("backtest", world_folder(), "--settings", settings_file, "--out", "bt", "--json")
