import subprocess
import sys

import pytest

from intentcast.cli.main import app

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


def test_these_are_all_the_commands():
    assert tuple(command.name for command in app.registered_commands) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_each_command_in_80_columns_with_an_example(cli, command):
    done = cli(command, "--help")
    assert done.code == 0
    assert done.stderr == ""
    assert f"Example: intentcast {command}" in done.stdout
    assert "Options:" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_explained(cli, command):
    options = cli(command, "--help").stdout.partition("Options:")[2].splitlines()
    for number, line in enumerate(options):
        if line.lstrip().startswith("--"):
            following = options[number + 1] if number + 1 < len(options) else ""
            has_words = len(line.split("  ")) > 2 or following.startswith(" " * 6)
            assert has_words, line


def test_the_programs_help_names_every_command_and_exit_code(cli):
    done = cli("--help")
    assert done.code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout
    assert "Exit codes: 0 done; 2 bad input; 3 refused" in done.stdout


def test_without_a_command_help_is_shown(cli):
    done = cli()
    assert done.code == 2
    assert "Usage: " in done.stdout + done.stderr


def test_the_command_line_starts_without_the_heavy_libraries():
    heavy = {"polars", "numpy", "numba", "pydantic", "lightgbm", "sklearn", "mlflow", "pandas"}
    code = f"import sys, intentcast.cli.main; print(sorted({heavy!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
