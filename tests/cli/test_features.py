"""`intentcast features` as anyone runs it: what it prints, what it writes, what it refuses."""

import json

import polars as pl
import pytest

from intentcast.features import fit_featurizer
from intentcast.snapshots import build_snapshots
from tests.fixtures_world import (
    AS_OF,
    CONFIG,
    bundle,
    bundle_folder,
    world,
    world_folder,
    world_snapshots,
    world_times,
)

DAY = str(AS_OF.date())


def words(text):
    """Return text without line breaks, as on a wide screen."""
    return " ".join(text.split())


def parts(out):
    return pl.read_parquet(out / "part-*.parquet").sort("lead_id", "as_of")


@pytest.fixture(scope="module")
def out(cli):
    return cli.home / "features"


@pytest.fixture(scope="module")
def printed(cli, out, settings_file):
    """The command in words, on the small world."""
    return cli("features", world_folder(), "--out", out, "--settings", settings_file)


@pytest.fixture(scope="module")
def as_json(cli, out, printed, settings_file):
    """The same again, as JSON: nothing is left to do."""
    assert printed.code == 0, printed.stderr
    return cli("features", world_folder(), "--out", out, "--settings", settings_file, "--json")


@pytest.fixture(scope="module")
def of_bundle(cli):
    """With a bundle's vocabulary, at one as-of time."""
    return cli(
        "features", world_folder(), "--out", "of-bundle", "--bundle", bundle_folder("logistic"),
        "--as-of", DAY, "--partitions", 3, "--threads", 1,
    )  # fmt: skip


def test_it_says_in_80_columns_what_was_written_and_what_was_learnt(printed, as_json, out):
    assert max(map(len, printed.stdout.splitlines())) <= 80
    found, said = as_json.json, words(printed.stdout)
    times = world_times()
    assert f"{found['n_rows']:,} rows of {found['n_features']:,} features" in said
    assert f"as of {times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d} (40 times)" in said
    n_learnt = found["vocabulary"]["n_events"]
    assert f"Vocabulary learnt from {n_learnt:,} events known before 2024-07-01 00:00 UTC" in said
    assert said.endswith(f"Wrote {out}")


def test_progress_says_partitions_rate_and_time_left(printed):
    assert printed.error_lines == []
    last = [line for line in printed.stderr.splitlines() if "partition" in line][-1]
    assert "events/s, 0:00 left" in last
    assert max(map(len, printed.stderr.splitlines())) <= 80


def test_json_is_one_document_about_the_manifest(as_json, out):
    found = as_json.json
    manifest = json.loads((out / "manifest.json").read_text())
    assert found["out"] == str(out)
    assert found["n_parts_finished_before"] == found["n_parts"] == len(manifest["parts"])
    assert found["as_of"]["n_times"] == len(manifest["as_of_times"]) == 40
    assert found["vocabulary"] == manifest["vocabulary"]
    assert found["tables"] == manifest["tables"]
    assert [table["table"] for table in found["tables"]][:3] == ["leads", "accounts", "events"]


def test_the_files_hold_what_the_library_computes(printed, out):
    assert printed.code == 0, printed.stderr
    data, times = world(), world_times()
    featurizer = fit_featurizer(data, known_by=times[0], settings=CONFIG.features, seed=CONFIG.seed)
    snapshots = build_snapshots(data, times)
    matrix = featurizer.transform(data, snapshots)
    found = parts(out)
    assert found.columns[3:] == matrix.names
    assert found.select("lead_id", "as_of").equals(snapshots.select("lead_id", "as_of"))
    assert found.drop("lead_id", "account_id", "as_of").to_numpy().tobytes() == (
        matrix.values.copy(order="C").tobytes()
    )


@pytest.mark.slow
def test_a_bundles_vocabulary_gives_the_bundles_features(cli, of_bundle):
    assert of_bundle.code == 0, of_bundle.stderr
    chosen = bundle("logistic")
    said = words(of_bundle.stdout)
    assert (
        f"Vocabulary of bundle {chosen.version}, learnt from what was known by 2026-01-01" in said
    )
    assert "later than the first as-of time" in said
    found = parts(cli.home / "of-bundle")
    snapshots = world_snapshots()
    expected = chosen.featurizer.transform(world(), snapshots)
    assert found.columns[3:] == expected.names
    assert found["lead_id"].to_list() == snapshots["lead_id"].to_list()
    assert found.drop("lead_id", "account_id", "as_of").to_numpy().tobytes() == (
        expected.values.copy(order="C").tobytes()
    )


def test_a_vocabulary_that_is_learnt_later_than_the_first_row_is_said(cli, settings_file):
    done = cli(
        "features", world_folder(), "--out", "late", "--settings", settings_file,
        "--as-of", "2025-06-02", "--known-by", "2025-12-01",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert "later than the first as-of time" in words(done.stdout)
    assert "as of 2025-06-02, from" in words(done.stdout)
    assert "in 1 part." in words(done.stdout)


def test_rows_set_aside_and_copies_are_told(cli, variant, tmp_path, settings_file):
    def worse(frame):
        nobody = frame.head(7).with_columns(lead_id=pl.lit("nobody"))
        named = frame.filter(pl.col("event_id").is_not_null())
        return pl.concat([frame, nobody, named.head(5)])

    out = tmp_path / "out"
    done = cli(
        "features", variant(tables={"events": worse}), "--out", out, "--settings", settings_file,
        "--as-of", DAY,
    )  # fmt: skip
    said = words(done.stdout)
    assert f"7 rows broke a rule and were set aside in {out}/quarantine." in said
    assert len(pl.read_csv(out / "quarantine" / "events.csv")) == 7
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["tables"][2]["n_duplicates"] >= 5


def refused(done, code, found):
    """One line on stderr besides progress, with what to do; one JSON document on stdout."""
    assert done.code == code, done.stderr
    [line] = done.error_lines
    assert line.startswith("intentcast: Found: ")
    assert found in line
    assert " Next: " in line
    assert set(done.json["error"]) == {"kind", "found", "expected", "next_step"}


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        (["--out", "x", "--as-of", "tomorrow"], 2, "--as-of 'tomorrow'"),
        (["--out", "x", "--known-by", "1066-10-14"], 2, "--known-by '1066-10-14'"),
        (["--out", "x", "--bundle", "absent"], 2, "no readable manifest.json in absent"),
        (["--out", "x", "--bundle", "b", "--known-by", DAY], 2, "--bundle with --known-by"),
        (["--out", "x", "--as-of", "2010-01-01"], 3, "no event known before 2010-01-01"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(cli, arguments, code, found):
    done = cli("features", world_folder(), *arguments, "--json")
    refused(done, code, found)


def test_a_folder_of_something_else_is_refused(cli, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    refused(cli("features", world_folder(), "--out", tmp_path, "--json"), 2, "not an empty folder")


def test_another_job_is_refused_until_told_to_begin_anew(cli, tmp_path, settings_file):
    def run(*more):
        return cli(
            "features", world_folder(), "--out", tmp_path / "out", "--settings", settings_file,
            "--json", *more,
        )  # fmt: skip

    assert run("--as-of", DAY).code == 0
    other = ("--as-of", "2025-12-01")
    refused(run(*other), 2, "features of another job")
    done = run(*other, "--no-resume")
    assert done.json["as_of"]["from"] == "2025-12-01T00:00:00+00:00"


def test_out_must_be_given(cli):
    done = cli("features", world_folder(), "--json")
    assert done.code == 2
    assert "Missing option '--out'" in done.stderr
