"""What a model was made of: fingerprints of the data and of the code.

The data's fingerprint is of the files as they are, so that `sha256sum` can repeat it and a large
table costs no sorting. The same rows in another order are thus other data; they train the same
model.
"""

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path

from intentcast.scorecards.builtin import OWN_FILE
from intentcast.sources.dataset import find_tables

_PACKAGE = Path(__file__).resolve().parent
# What decides a prediction or a report: code, and the pages and settings beside it.
_SUFFIXES = {".py", ".j2", ".css", ".toml"}
_LINE = 64 * 1024


@dataclass(frozen=True)
class DataFingerprint:
    """Which data.

    Attributes:
        sha256: Of the lines `digest  name` of the files, sorted by name, as `sha256sum` prints.
        files: Each file's own, by name: `dataset.toml`, the folder's points table, the tables.
    """

    sha256: str
    files: dict[str, str]


@dataclass(frozen=True)
class CodeVersion:
    """Which code.

    Attributes:
        version: Of the package.
        commit: Of the checkout that the package runs from, or None; `sha256` tells of changes that
            were not committed.
        sha256: Of the package's own files.
    """

    version: str
    commit: str | None
    sha256: str


def fingerprint_data(folder: Path) -> DataFingerprint:
    """Return the fingerprint of a data set folder: one reading of its files.

    Raises:
        ContractError: If a required table is missing.
    """
    paths = [path for path in find_tables(folder).values() if path is not None]
    paths += [folder / "dataset.toml", folder / OWN_FILE]
    found = {path.name: file_digest(path) for path in sorted(paths) if path.is_file()}
    return DataFingerprint(_digest_of(found.items()), found)


@functools.cache
def code_version() -> CodeVersion:
    """Return which code this is; git need not be installed."""
    found = {
        path.relative_to(_PACKAGE).as_posix(): file_digest(path)
        for path in sorted(_PACKAGE.rglob("*"))
        if path.suffix in _SUFFIXES
    }
    try:
        version = package_version("intentcast")
    except PackageNotFoundError:
        version = "unknown"
    return CodeVersion(version, _commit(_PACKAGE.parents[1]), _digest_of(found.items()))


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_LINE):
            digest.update(piece)
    return digest.hexdigest()


def _digest_of(files: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def _commit(checkout: Path) -> str | None:
    """Return the commit that a checkout is at, as its files say."""
    try:
        git = checkout / ".git"
        if git.is_file():  # a worktree or a submodule: its folder is elsewhere
            git = (checkout / git.read_text().removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head or None
        name = head.removeprefix("ref:").strip()
        shared = git / "commondir"
        home = (git / shared.read_text().strip()).resolve() if shared.is_file() else git
        if (home / name).is_file():
            return (home / name).read_text().strip()
        for line in (home / "packed-refs").read_text().splitlines():
            commit, _, ref = line.partition(" ")
            if ref == name:
                return commit
    except OSError:
        return None
    return None
