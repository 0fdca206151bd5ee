"""Loading bundles: at the start, on request, and when the champion changes; never for a request."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from intentcast.bundle import Bundle
from intentcast.errors import InputError
from serving.keys import read_keys
from serving.models import BundleRefusedError, ReloadUnderWayError
from serving.places import digest_of
from serving.state import ServerState

_LONGEST_WAIT = 60.0


def load(
    state: ServerState,
    folder: Path | None = None,
    *,
    is_news: Callable[[str], bool] = lambda _reason: True,
) -> Bundle:
    """Load the bundle, log it, count it and keep a copy.

    Args:
        state: Of the app.
        folder: A kept copy; without it the place that is set, which is kept in turn.
        is_news: Asked of the reason of a refusal: whether to log it.

    Raises:
        BundleRefusedError: If it cannot be served.
        ReloadUnderWayError: If another load has not ended.
    """
    try:
        bundle = state.model.reload(folder)
    except BundleRefusedError as error:
        state.metrics.reloads.labels("refused").inc()
        if is_news(str(error)):
            state.log.error("bundle refused", reason=str(error))
        raise
    state.metrics.reloads.labels("kept" if folder else "loaded").inc()
    state.metrics.show_model(bundle, state.now)
    state.log.info("bundle loaded", name=bundle.name, version=bundle.version, sha256=bundle.sha256)
    for warning in state.model.warnings:
        state.log.warning("policy", reason=warning)
    source = state.model.source
    if folder is None and state.kept and source:
        try:
            state.kept.keep(source, bundle)
        except InputError as error:
            state.log.warning("bundle not kept", reason=error.found)
    return bundle


def load_first(state: ServerState) -> None:
    """Load the bundle; if that cannot be, the last good one that was kept.

    A server that has neither stays, not ready, so that a reload can help.
    """
    lost = _champion_is_lost(state)
    tries: list[Path | None] = [*state.kept.folders()] if state.kept else []
    # Where there was a champion once, what merely stands in comes last.
    for folder in [*tries, None] if lost else [None, *tries]:
        try:
            load(state, folder)
        except BundleRefusedError:
            continue
        if folder is not None:
            state.log.warning("serving the last good bundle")
        return


def _champion_is_lost(state: ServerState) -> bool:
    try:
        return state.model.place.bundles is not None and state.model.place.champion() is None
    except InputError:
        return True


class Watcher:
    """Follows the champion and the keys from a thread of its own.

    It asks the files, not MLflow, and touches nothing that a request waits for. Whatever it finds
    wrong it logs once and counts; the old model goes on. A champion that is wrong is tried again
    ever less often; the keys are looked at every time, so that one that is revoked ends.

    Args:
        state: Of the app.
        clock: Seconds that never go back.
    """

    def __init__(self, state: ServerState, clock: Callable[[], float] = time.monotonic) -> None:
        self._state, self._clock = state, clock
        self._stop = threading.Event()
        self._wrong: dict[str, str] = {}
        self._keys_seen: object = _mark(state.settings.keys)
        self._pause = state.settings.watch_seconds
        self._champion_not_before = 0.0

    def start(self) -> None:
        """Start, if there is anything to watch."""
        settings = self._state.settings
        if settings.watch_seconds and (settings.bundles or settings.keys):
            threading.Thread(target=self._run, name="watcher", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(self._state.settings.watch_seconds):
            self.look()

    def look(self) -> None:
        """Take over a new champion and new keys, if there are any."""
        self._look_at_keys()
        if self._clock() < self._champion_not_before:
            return
        usual = self._state.settings.watch_seconds
        if self._look_at_champion():
            self._pause, self._champion_not_before = usual, 0.0
        else:
            self._pause = max(usual, min(_LONGEST_WAIT, 2 * self._pause))
            self._champion_not_before = self._clock() + self._pause

    def _look_at_champion(self) -> bool:
        state = self._state
        digest: str | None = None

        def is_news(reason: str) -> bool:
            # Another bundle may be refused for the same reason.
            return self._is_new("bundle", f"{digest}: {reason}")

        try:
            champion = state.model.place.champion()
            if champion is not None:
                digest = digest_of(champion)
                if digest is None:
                    raise InputError(
                        f"no bundle in {champion.name}",
                        expected="a bundle",
                        next_step="copy it there",
                    )
            served = state.model.bundle
            if served is None or (digest is not None and digest != served.sha256):
                load(state, is_news=is_news)
        except ReloadUnderWayError:
            return True
        except BundleRefusedError:
            return False
        except InputError as error:
            self._say("champion", error.found)
            return False
        except Exception as error:
            # A watcher that died would leave an old model in place for good.
            self._say("champion", type(error).__name__)
            return False
        self._wrong.pop("champion", None)
        self._wrong.pop("bundle", None)
        return True

    def _look_at_keys(self) -> None:
        path = self._state.settings.keys
        seen = _mark(path)
        if path is None or seen == self._keys_seen:
            return
        try:
            keyring = read_keys(self._state.settings)
        except InputError as error:
            # Half-written, perhaps: the keys before stay valid.
            self._say("keys", error.found)
            return
        except Exception as error:
            self._say("keys", type(error).__name__)
            return
        self._state.keyring, self._keys_seen = keyring, seen
        self._state.rates.keep_only(keyring.names)
        self._wrong.pop("keys", None)
        self._state.log.info("keys loaded", n=len(keyring.names))

    def _say(self, what: str, reason: str) -> None:
        self._state.metrics.watch_failures.labels(what).inc()
        if self._is_new(what, reason):
            self._state.log.error("watch", what=what, reason=reason.rpartition("/")[2])

    def _is_new(self, what: str, reason: str) -> bool:
        is_new = self._wrong.get(what) != reason
        self._wrong[what] = reason
        return is_new


def _mark(path: Path | None) -> object:
    """Return what differs once a file has been written anew."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return "absent"
    return found.st_mtime_ns, found.st_size, found.st_ino
