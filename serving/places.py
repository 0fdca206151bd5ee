"""Which bundle folder is to be served now: a set one, or the champion of a folder of bundles."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from intentcast.bundle import MANIFEST
from intentcast.champions import FILE, champion, crowned_names
from intentcast.errors import InputError
from serving.settings import Settings


@dataclass(frozen=True)
class Place:
    """Where the bundle to serve is found.

    Attributes:
        bundle: Its folder; with `bundles`, what stands in until there is a champion.
        bundles: Folder with `champions.json`.
        model: Name of the model, if several have champions.
    """

    bundle: Path | None
    bundles: Path | None = None
    model: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Place":
        """Return the place that the settings name."""
        return cls(settings.bundle, settings.bundles, settings.model)

    def champion(self) -> Path | None:
        """Return the champion's folder, or None if there is none.

        Raises:
            InputError: If `champions.json` cannot be read, or says too much.
        """
        if self.bundles is None:
            return None
        name = self.model
        if name is None:
            names = crowned_names(self.bundles)
            if len(names) > 1:
                raise InputError(
                    f"{FILE} has champions of {len(names)} models",
                    expected="the name of the one to serve",
                    next_step="set INTENTCAST_MODEL",
                )
            name = names[0] if names else None
        found = champion(self.bundles, name) if name else None
        # Its name in the file is a plain one; a link of that name could still lead elsewhere.
        if found and found.resolve().parent != self.bundles.resolve():
            raise InputError(
                f"a champion outside the folder of {FILE}",
                expected="a bundle beside the file",
                next_step="promote a bundle of that folder",
            )
        return found

    def folder(self, *, may_stand_in: bool) -> Path:
        """Return the folder to load; links are resolved.

        Args:
            may_stand_in: Whether `bundle` will do where there is no champion.

        Raises:
            InputError: If there is none.
        """
        found = self.champion()
        if found is None and (self.bundles is None or may_stand_in):
            found = self.bundle
        if found is None:
            what = "no champion of the model" if self.bundles else "no bundle is set"
            raise InputError(
                f"{what} (INTENTCAST_BUNDLE, INTENTCAST_BUNDLES)",
                expected="a bundle to serve",
                next_step="set one, or promote one",
            )
        return found.resolve()


def digest_of(folder: Path) -> str | None:
    """Return the checksum of the manifest in a folder: that of its bundle; None without one."""
    try:
        return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return None
