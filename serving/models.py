"""The bundle that is being served, and its replacement: all at once or not at all."""

import contextlib
import re
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pydantic_core import to_json

from intentcast.bundle import Bundle
from intentcast.errors import InputError
from intentcast.histories import history_from_json
from intentcast.scoring import answer_history, load_bundle, with_policy
from serving.places import Place
from serving.problems import ProblemError
from serving.reading import read_request
from serving.schemas import RequestContext

_LONGEST_REASON = 300
_FOLDERS = re.compile(r"\S*/(?=\S)")


class BundleRefusedError(Exception):
    """The bundle cannot be served; the message says why, without paths."""


class ReloadUnderWayError(Exception):
    """Another reload has not ended yet."""


class ServedModel:
    """Holds the loaded bundle. A request takes it once, so its answer is wholly of one version.

    Args:
        place: Where the bundle is found at each load.
        policy: A policy file to take the tiers from; read at each load.
        load: Reads and checks a bundle.
    """

    def __init__(
        self,
        place: Place,
        *,
        policy: Path | None = None,
        load: Callable[[Path], Bundle] = load_bundle,
    ) -> None:
        self.place = place
        self._policy, self._load = policy, load
        self._loading = threading.Lock()
        self._bundle: Bundle | None = None
        self._warnings: tuple[str, ...] = ()
        self._source: Path | None = None

    @property
    def bundle(self) -> Bundle | None:
        """The bundle, or None if none has been loaded yet."""
        return self._bundle

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the bundle and the policy together."""
        return self._warnings

    @property
    def source(self) -> Path | None:
        """The folder that the bundle was read from."""
        return self._source

    def reload(self, folder: Path | None = None) -> Bundle:
        """Load a bundle and serve it from now on.

        Args:
            folder: Of the bundle; without it the one that the place names now.

        Raises:
            BundleRefusedError: If it cannot be served; the one before goes on.
            ReloadUnderWayError: If another thread is loading.
        """
        if not self._loading.acquire(blocking=False):
            raise ReloadUnderWayError
        try:
            bundle, warnings, self._source = self._read(folder)
            self._bundle, self._warnings = bundle, tuple(warnings)
        finally:
            self._loading.release()
        return bundle

    def _read(self, folder: Path | None) -> tuple[Bundle, list[str], Path]:
        try:
            # Resolved once, so that a link that moves meanwhile cannot mix two bundles. What stood
            # in at the start must not displace a champion because its file is lost.
            source = folder or self.place.folder(may_stand_in=self._bundle is None)
            bundle = self._load(source)
            tiered, odd = with_policy(bundle, self._policy) if self._policy else (bundle, [])
            rehearse(tiered)
        except InputError as error:
            raise BundleRefusedError(_without_folders(error.found)) from None
        except Exception as error:
            # Whatever a damaged bundle makes the libraries raise, the old model must go on.
            kind = type(error).__name__
            raise BundleRefusedError(f"the bundle could not be read ({kind})") from error
        return tiered, odd, source


def rehearse(bundle: Bundle) -> None:
    """Read and answer a golden request whole, with reasons, as a client's is.

    What cannot answer is refused before it is served. And compiled code that is not cached yet is
    compiled here: the first client would wait for it, and all others with it.
    """
    request = {**bundle.golden[0]["request"], "explain": True}
    now = datetime.fromisoformat(bundle.created)
    with contextlib.suppress(ProblemError):  # what is too long for a client was trained on
        read_request(to_json(request), RequestContext(now, 10_000, 1000, 1000))
    answer_history(bundle, history_from_json(request), explain=True)


def _without_folders(text: str) -> str:
    return _FOLDERS.sub("", " ".join(text.split()))[:_LONGEST_REASON]
