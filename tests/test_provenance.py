"""Fingerprints: of the data files as they are, and of the code."""

import hashlib
import shutil
import subprocess

import pytest

from intentcast.errors import ContractError
from intentcast.provenance import _PACKAGE, _SUFFIXES, code_version, fingerprint_data
from intentcast.provenance import _commit as commit_of
from tests.conftest import write_dataset


def test_sha256sum_repeats_the_datas_fingerprint(tmp_path):
    folder = write_dataset(tmp_path / "data")
    found = fingerprint_data(folder)
    assert sorted(found.files) == ["dataset.toml", "events.csv", "leads.csv", "outcomes.csv"]
    printed = subprocess.run(
        ["sha256sum", *sorted(found.files)], cwd=folder, check=True, capture_output=True
    ).stdout
    assert found.sha256 == hashlib.sha256(printed).hexdigest()


def test_any_byte_of_any_table_or_setting_is_other_data_and_other_files_are_not(tmp_path):
    folder = write_dataset(tmp_path / "data")
    before = fingerprint_data(folder)
    (folder / "notes.txt").write_text("x")
    assert fingerprint_data(folder) == before
    seen = {before.sha256}
    for name in before.files:
        with (folder / name).open("a") as file:
            file.write("\n")
        seen.add(fingerprint_data(folder).sha256)
    (folder / "scorecard.toml").write_text("")
    seen.add(fingerprint_data(folder).sha256)
    assert len(seen) == 2 + len(before.files)


def test_where_the_folder_is_does_not_matter(tmp_path):
    folder = write_dataset(tmp_path / "data")
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    assert fingerprint_data(copy) == fingerprint_data(folder)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ContractError, match="events"):
        fingerprint_data(write_dataset(tmp_path / "data", events=None))


def test_every_kind_of_file_that_the_package_ships_is_code():
    """A page's style sheet and settings decide what is written, as code does."""
    there = {path.suffix for path in _PACKAGE.rglob("*.*") if "__pycache__" not in path.parts}
    assert ".css" in there
    # `py.typed` is empty.
    assert there - {".typed"} <= _SUFFIXES


@pytest.mark.parametrize("layout", ["loose", "packed", "detached", "worktree"])
def test_the_commit_is_read_from_the_checkouts_files(tmp_path, layout):
    commit = "c0ffee" + "0" * 34
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text(f"{commit}\n" if layout == "detached" else "ref: refs/heads/main\n")
    if layout == "packed":
        (git / "packed-refs").write_text(f"# pack-refs\n{commit} refs/heads/main\n")
    elif layout != "detached":
        (git / "refs" / "heads" / "main").write_text(f"{commit}\n")
    checkout = tmp_path
    if layout == "worktree":
        own = git / "worktrees" / "other"
        own.mkdir(parents=True)
        (own / "HEAD").write_text("ref: refs/heads/main\n")
        (own / "commondir").write_text("../..\n")
        checkout = tmp_path / "other"
        checkout.mkdir()
        (checkout / ".git").write_text(f"gitdir: {own}\n")
    assert commit_of(checkout) == commit


def test_without_a_checkout_there_is_no_commit(tmp_path):
    assert commit_of(tmp_path) is None
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/unborn\n")
    assert commit_of(tmp_path) is None


def test_the_code_says_its_version_and_its_bytes():
    found = code_version()
    assert found.version
    assert len(found.sha256) == 64
