"""Steps that are kept as soon as they are done, so that a run that was stopped goes on there.

`state/KEY/STEP.json`, written whole or not at all; KEY says all that the results follow from, so
that other data, settings or code begin anew. Nothing that has no file here counts as done.
"""

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from intentcast.errors import InputError, RefusedError
from intentcast.files import json_bytes, write_atomic

Result = dict[str, Any]


class Steps:
    """The steps of one key.

    Args:
        folder: Of all keys.
        key: What the results follow from.
        on_progress: Called with the steps that are taken over.
    """

    def __init__(self, folder: Path, key: str, on_progress: Callable[[str], None]) -> None:
        self._folder, self._say = folder / key, on_progress

    def has(self, name: str) -> bool:
        """Return whether a step's result is kept."""
        return _read(self._folder / f"{name}.json") is not None

    def once(
        self,
        name: str,
        work: Callable[[], Result],
        *,
        is_good: Callable[[Result], bool] = lambda _: True,
    ) -> Result:
        """Return a step's result: the kept one, or that of doing it now.

        A refusal is a result too: `{"refused": {"found", "expected", "next"}}`.

        Args:
            name: Of the step.
            work: Does it.
            is_good: Whether a kept result still holds, such as that its files are there.
        """
        path = self._folder / f"{name}.json"
        kept = _read(path)
        if kept is not None and is_good(kept):
            self._say(f"{name}: done before")
            return kept
        try:
            result = work()
        except RefusedError as error:
            result = {"refused": refusal(error)}
        write_atomic(path, json_bytes(result))
        return result

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the key, so that two runs do not do the same at once; a killed run lets go of it.

        Raises:
            InputError: If another run holds it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(
                    f"another retraining of the same data and settings at work in {self._folder}",
                    expected="one at a time",
                    next_step="wait for it, or stop it and run this again",
                ) from None
            yield


def refusal(error: RefusedError) -> dict[str, str]:
    """Return a refusal as JSON values."""
    return {"found": error.found, "expected": error.expected, "next": error.next_step}


def _read(path: Path) -> Result | None:
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) else None
