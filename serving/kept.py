"""The last good bundles on local disk: what is served when the folder of bundles is gone.

`last-good.json` names the folders beside it, the latest first; each is a copy whose files were
compared with the checksums of the bundle that was loaded, synced and renamed into place.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

from intentcast.bundle import MANIFEST, Bundle
from intentcast.errors import InputError
from intentcast.files import json_bytes, write_atomic
from serving.places import digest_of

_POINTER = "last-good.json"
_WRITING = ".keeping-"
_DIGITS = 12
_NAME = re.compile(rf".+-([0-9a-f]{{{_DIGITS}}})")
_KEPT = 2
# Another process may be about to name what nothing names yet.
_STALE_SECONDS = 3600.0


class KeptBundles:
    """Copies of the bundles that were served last.

    Args:
        folder: Where they are; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, source: Path, bundle: Bundle) -> None:
        """Copy a bundle that has just been loaded, and name it the last good one.

        Raises:
            InputError: If the place cannot be written to, or the source has changed meanwhile.
        """
        name = f"{bundle.name}-{bundle.version}-{bundle.sha256[:_DIGITS]}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not _is_whole(self._folder / name, bundle):
                self._copy(source, bundle, name)
            named = [name, *(other for other in self._names() if other != name)]
            write_atomic(self._folder / _POINTER, json_bytes({"folders": named[:_KEPT]}))
            self._prune(named[:_KEPT])
        except OSError as error:
            raise InputError(
                f"the last good bundle cannot be kept ({error.strerror})",
                expected="a folder that can be written to, with room in it (INTENTCAST_KEEP)",
                next_step="choose another, or make room",
            ) from None

    def folders(self) -> list[Path]:
        """Return the copies, the latest first; empty if there are none."""
        return [self._folder / name for name in self._names()]

    def _names(self) -> list[str]:
        try:
            names = json.loads((self._folder / _POINTER).read_bytes())["folders"]
            plain = [str(name) for name in names if Path(str(name)).name == str(name)]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return []
        return [name for name in plain if (self._folder / name / MANIFEST).is_file()]

    def _copy(self, source: Path, bundle: Bundle, name: str) -> None:
        writing = Path(tempfile.mkdtemp(prefix=_WRITING, dir=self._folder))
        try:
            for file in (*bundle.manifest["files"], MANIFEST):
                data = (source / file).read_bytes()
                if hashlib.sha256(data).hexdigest() != _expected(file, bundle):
                    raise InputError(
                        "the bundle changed while it was copied",
                        expected="the files that were loaded",
                        next_step="nothing; it is tried again at the next load",
                    )
                with (writing / file).open("wb") as copy:
                    copy.write(data)
                    copy.flush()
                    os.fsync(copy.fileno())
            final = self._folder / name
            if final.exists():
                # Damaged since: out of the way, in one step.
                final.rename(writing / "damaged")
            writing.rename(final)
            shutil.rmtree(final / "damaged", ignore_errors=True)
        finally:
            shutil.rmtree(writing, ignore_errors=True)

    def _prune(self, named: list[str]) -> None:
        for path in self._folder.iterdir():
            if path.name in named or not _is_copy(path):
                continue
            # Another process may be removing it too.
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)


def _is_copy(folder: Path) -> bool:
    """Return whether a server made a folder: the place may hold somebody's own."""
    if folder.name.startswith(_WRITING):
        return True
    found = _NAME.fullmatch(folder.name)
    return found is not None and (digest_of(folder) or "").startswith(found[1])


def _expected(file: str, bundle: Bundle) -> str:
    if file == MANIFEST:
        return bundle.sha256
    return str(bundle.manifest["files"][file]["sha256"])


def _is_whole(folder: Path, bundle: Bundle) -> bool:
    if digest_of(folder) != bundle.sha256:
        return False
    try:
        return all(
            hashlib.sha256((folder / file).read_bytes()).hexdigest() == _expected(file, bundle)
            for file in bundle.manifest["files"]
        )
    except OSError:
        return False
