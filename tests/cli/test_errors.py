"""Bad input: one line that says what was found, what was expected and what to do; nothing written.

Each case asks for JSON too, so that one process shows both the line on stderr and the document on
stdout.
"""

import csv
from datetime import datetime, timedelta

import polars as pl
import pytest

from intentcast.cli.console import instant
from intentcast.errors import InputError
from tests.fixtures_world import AS_OF, bundle_folder, world_folder


def assert_one_line(done, code, found):
    """One line on stderr besides progress, one JSON document on stdout, the exit code."""
    assert done.code == code, done.stderr
    [line] = done.error_lines
    assert line.startswith("intentcast: Found: ")
    assert " Expected: " in line
    assert " Next: " in line
    assert found in line
    error = done.json["error"]
    assert set(error) == {"kind", "found", "expected", "next_step"}
    assert error["kind"] == ("bad input" if code == 2 else "refused")
    # The line is the same in words; spaces and line breaks inside are one space there.
    said = f"Found: {error['found']}. Expected: {error['expected']}. Next: {error['next_step']}."
    assert line.removeprefix("intentcast: ") == " ".join(said.split())
    assert "Traceback" not in done.stderr


def nothing(path):
    return not path.exists() or list(path.iterdir()) == []


# The data set.


def test_a_folder_that_is_not_there(cli, tmp_path):
    assert_one_line(cli("check", "absent", "--json", cwd=tmp_path), 2, "no folder absent")
    assert nothing(tmp_path)


def test_an_empty_folder(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    done = cli("check", "empty", "--json", cwd=tmp_path)
    assert_one_line(done, 2, "no table leads, events, outcomes in empty (it has nothing)")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"tables": {"events": None}}, "no table events in"),
        (
            {"tables": {"events": lambda f: f.drop("event_type")}},
            "events has no column event_type",
        ),
        (
            {"tables": {"leads": lambda f: f.with_columns(created_at=pl.lit("yesterday"))}},
            "1,200 of 1,200 rows of leads.parquet break a rule: created_at_is_a_time",
        ),
        ({"toml": ("within_days", "witin_days")}, "unknown key cohort.witin_days"),
        ({"toml": ("[cohort]", "[cohort")}, "dataset.toml is not valid TOML"),
    ],
    ids=["missing table", "missing column", "wrong type", "unknown key", "no TOML"],
)
def test_a_data_set_that_is_wrong(cli, tmp_path, variant, settings_file, change, found):
    out = tmp_path / "out"
    done = cli("backtest", variant(**change), "--settings", settings_file, "--out", out, "--json")
    assert_one_line(done, 2, found)
    assert nothing(out)


def test_settings_with_an_unknown_key(cli, tmp_path):
    (tmp_path / "mine.toml").write_text("sede = 7\n")
    done = cli(
        "train", world_folder(), "--settings", "mine.toml", "--out", "out", "--json", cwd=tmp_path
    )
    assert_one_line(done, 2, "unknown key sede in mine.toml")
    assert "did you mean seed" in done.json["error"]["next_step"]
    assert nothing(tmp_path / "out")


# Times, bundles, leads and places.


def scored(cli, tmp_path, *args, bundle=None):
    return cli(
        "score", world_folder(), "--bundle", bundle or bundle_folder("logistic"),
        "--out", tmp_path / "out" / "scores.parquet", "--json", *args,
    )  # fmt: skip


def test_an_as_of_time_that_is_none(cli, tmp_path):
    done = scored(cli, tmp_path, "--as-of", "tomorrow")
    assert_one_line(done, 2, "--as-of 'tomorrow'")
    assert nothing(tmp_path / "out")


@pytest.mark.parametrize(
    "text", ["", "2025-13-01", "1989-12-31", "2100-01-01", "0001-01-01T00:00:00+05:00", "9" * 50]
)
def test_an_instant_is_a_date_or_a_time_between_1990_and_2099(text):
    with pytest.raises(InputError, match=r"--as-of .* between 1990 and 2099"):
        instant(text, default=AS_OF)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (None, AS_OF),
        ("2025-12-15", AS_OF),
        ("2025-12-15T00:00:00Z", AS_OF),
        ("2025-12-15T00:00:00", AS_OF),
        ("2025-12-15 02:00+02:00", AS_OF),
        ("2025-12-15T06:30:00.5Z", AS_OF + timedelta(hours=6, minutes=30, seconds=0.5)),
    ],
)
def test_a_date_is_its_first_instant_and_a_time_without_a_zone_is_utc(text, moment):
    assert instant(text, default=AS_OF) == moment


def test_nobody_in_the_cohort_is_refused(cli, tmp_path):
    done = scored(cli, tmp_path, "--as-of", "2010-01-01")
    assert_one_line(done, 3, "nobody in the cohort at 2010-01-01T00:00Z")
    assert nothing(tmp_path / "out")


def test_a_damaged_bundle(cli, tmp_path):
    damaged = tmp_path / "small-2026-01-02.1"
    damaged.mkdir()
    for path in bundle_folder("lightgbm").iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    text = (damaged / "model.txt").read_text()
    (damaged / "model.txt").write_text(text.replace("leaf_value=-", "leaf_value=+", 1))
    done = scored(cli, tmp_path, "--as-of", AS_OF.date(), bundle=damaged)
    assert_one_line(done, 2, "model.txt of small-2026-01-02.1: contents that do not match its")
    assert nothing(tmp_path / "out")


def test_no_bundle_yet(cli, tmp_path):
    done = cli("score", world_folder(), "--json", cwd=tmp_path)
    assert_one_line(done, 2, "no bundle in models/bundles")
    assert nothing(tmp_path)


def test_a_lead_that_is_not_there(cli):
    done = cli(
        "explain", world_folder(), "--bundle", bundle_folder("logistic"), "--lead", "L?",
        "--as-of", AS_OF.date(), "--json",
    )  # fmt: skip
    assert_one_line(done, 2, "no lead 'L?'")


def test_a_place_that_cannot_be_written_to(cli, tmp_path):
    (tmp_path / "file").write_text("x")
    done = cli("simulate", "--out", "file/world", "--leads", 5, "--json", cwd=tmp_path)
    assert_one_line(done, 2, "file (File exists)")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_world_is_not_written_over_files(cli, tmp_path):
    (tmp_path / "file").write_text("x")
    done = cli("simulate", "--out", tmp_path, "--leads", 5, "--json")
    assert_one_line(done, 2, "exists and is not an empty folder")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# Fine input, but the answer would mislead: refused.


def trained(cli, tmp_path, folder, settings_file, *args):
    return cli(
        "train", folder, "--settings", settings_file, "--out", tmp_path / "out",
        "--registry", tmp_path / "registry", "--json", *args,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        ("order", "336 of 336 training snapshots converted within 30 days"),
        ("never", "0 of 336 training snapshots converted within 30 days"),
    ],
    ids=["nothing but conversions", "no conversion"],
)
def test_one_class_is_refused_and_nothing_is_registered(
    cli, tmp_path, settings_file, outcome, found
):
    folder = tmp_path / "steady"
    folder.mkdir()
    start = datetime(2024, 1, 1)
    leads = [f"L{i:02}" for i in range(12)]
    tables = {
        "leads": [("lead_id", "created_at"), *((lead, start.isoformat()) for lead in leads)],
        "events": [("lead_id", "occurred_at", "event_type")],
        "outcomes": [("lead_id", "occurred_at", "outcome")],
    }
    for day in range(1, 300, 5):
        moment = (start + timedelta(days=day)).isoformat()
        tables["events"] += [(lead, moment, "visit") for lead in leads]
        tables["outcomes"] += [(lead, moment, "order") for lead in leads]
    for table, rows in tables.items():
        with (folder / f"{table}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    (folder / "dataset.toml").write_text(
        f'[conversion]\noutcomes = ["{outcome}"]\nrecurring = true\nhorizons_days = [30]\n'
    )
    done = trained(cli, tmp_path, folder, settings_file)
    assert_one_line(done, 3, found)
    assert done.json["error"]["expected"] == "at least 20 that did and as many that did not"
    assert nothing(tmp_path / "out")
    assert nothing(tmp_path / "registry")


def test_a_horizon_longer_than_the_data_is_refused(cli, tmp_path, variant, settings_file):
    horizons = ("[30, 90]\nprimary_horizon_days = 90", "[3000]")
    folder = variant(toml=horizons)
    out = tmp_path / "out"
    done = cli("backtest", folder, "--settings", settings_file, "--out", out, "--json")
    assert_one_line(done, 3, "the data end on 2026-01-01")
    assert nothing(out)


def test_a_cohort_that_begins_after_the_data_end_is_refused(cli, tmp_path, variant, settings_file):
    folder = variant(toml=("start = 2024-07-01\nend = 2025-12-29", "start = 2027-01-01"))
    out = tmp_path / "out"
    done = cli("backtest", folder, "--settings", settings_file, "--out", out, "--json")
    assert_one_line(done, 3, "no as-of time from 2027-01-01")
    assert nothing(out)


# The command line itself.


def test_an_unknown_option(cli):
    done = cli("check", "anywhere", "--colour")
    assert done.code == 2
    assert done.stdout == ""
    assert "No such option: --colour" in done.stderr


def test_a_missing_argument_asked_for_as_json_is_json_too(cli):
    done = cli("check", "--json")
    assert done.code == 2
    assert done.json["error"]["kind"] == "bad input"
    assert "Missing argument" in done.stderr


def test_without_json_an_error_leaves_stdout_empty(cli):
    done = cli("check", "absent")
    assert done.stdout == ""
    assert done.stderr.startswith("intentcast: Found: no folder absent. Expected: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_registry_that_is_corrupt_leaves_the_bundle_whole(cli, tmp_path, settings_file):
    from intentcast.scoring import load_bundle

    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "mlflow.db").write_bytes(b"no database, whatever it is called\n" * 99)
    done = trained(cli, tmp_path, world_folder(), settings_file)
    assert_one_line(done, 2, "mlflow.db")
    [bundle] = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert load_bundle(bundle).name == "small"
