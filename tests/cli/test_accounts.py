"""`intentcast accounts`: every account as a file, the likeliest in words and as JSON."""

import json
import shutil

import polars as pl
import pytest

from intentcast.account_scores import of_accounts, score_accounts
from intentcast.bundle import _own_digest
from intentcast.files import json_bytes
from tests.fixtures_world import (
    AS_OF,
    bundle,
    bundle_folder,
    trained,
    world,
    world_folder,
    world_snapshots,
)


def expected():
    return score_accounts(bundle("logistic"), world(), of_accounts(world_snapshots()))


def args(step="logistic"):
    return ("--bundle", bundle_folder(step), "--as-of", str(AS_OF.date()))


def test_the_command_writes_the_table_and_names_the_likeliest_accounts(cli, tmp_path):
    out = tmp_path / "accounts.parquet"
    found = cli("accounts", world_folder(), *args(), "--out", out, "--top", 3, "--json").json
    written = pl.read_parquet(out)
    assert written.equals(expected())
    primary = written.filter(pl.col("horizon_days") == 90)
    assert found["n_accounts"] == len(primary)
    assert found["expected"] == pytest.approx(primary["probability"].sum())
    assert found["own_share"] == trained().accounts.own_share
    likeliest = primary.sort("probability", "account_id", descending=[True, False]).head(3)
    assert [row["account_id"] for row in found["accounts"]] == likeliest["account_id"].to_list()


def test_it_is_printed_in_80_columns(cli):
    done = cli("accounts", world_folder(), *args(), "--top", 4)
    assert done.code == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if line.startswith("  A")]) == 4
    assert "expected to convert" in done.stdout


def test_a_bundle_without_it_is_refused_in_one_line(cli, tmp_path):
    old = shutil.copytree(bundle_folder("logistic"), tmp_path / "old")
    manifest = json.loads((old / "manifest.json").read_text())
    del manifest["files"]["accounts.json"]
    (old / "accounts.json").unlink()
    manifest["sha256"] = _own_digest(manifest)
    (old / "manifest.json").write_bytes(json_bytes(manifest))
    done = cli("accounts", world_folder(), "--bundle", old, "--as-of", str(AS_OF.date()))
    assert done.code == 2
    assert len(done.error_lines) == 1
    assert "train again" in done.stderr
