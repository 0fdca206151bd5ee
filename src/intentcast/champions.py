"""Which bundle is in production: `champions.json` beside the bundles, per model name.

A small file that is renamed into place: whoever reads it sees the old champion or the new one. The
server and the commands read it without MLflow, whose aliases follow it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from intentcast.errors import InputError
from intentcast.files import json_bytes, write_atomic

FILE = "champions.json"
_MOST_KEPT = 200


@dataclass(frozen=True)
class Reign:
    """One bundle's time as champion.

    Attributes:
        bundle: Name of its folder.
        since: When it took the place, ISO 8601.
        reason: Why, in words.
    """

    bundle: str
    since: str
    reason: str


def reigns(bundles: Path, name: str) -> list[Reign]:
    """Return the champions of a model so far, the present one last; empty if there was none.

    Raises:
        InputError: If `champions.json` cannot be read.
    """
    return [Reign(**reign) for reign in _read(bundles).get(name, [])]


def crowned_names(bundles: Path) -> list[str]:
    """Return the names of the models that have a champion.

    Raises:
        InputError: If `champions.json` cannot be read.
    """
    return sorted(name for name, found in _read(bundles).items() if found)


def champion(bundles: Path, name: str) -> Path | None:
    """Return the folder of a model's champion, or None.

    Raises:
        InputError: If `champions.json` cannot be read.
    """
    found = reigns(bundles, name)
    return bundles / found[-1].bundle if found else None


def crown(bundles: Path, name: str, reign: Reign) -> None:
    """Make a bundle the champion of its name.

    Raises:
        InputError: If `champions.json` cannot be read or written.
    """
    every = _read(bundles)
    kept = [*every.get(name, []), asdict(reign)][-_MOST_KEPT:]
    write_atomic(bundles / FILE, json_bytes({**every, name: kept}))


def predecessor(bundles: Path, name: str) -> Reign | None:
    """Return the reign before the present champion's that is of another bundle, or None.

    A rollback is a reign of its own, so going back twice returns to where one was.
    """
    found = reigns(bundles, name)
    return next((r for r in reversed(found[:-1]) if r.bundle != found[-1].bundle), None)


def _read(bundles: Path) -> dict[str, Any]:
    path = bundles / FILE
    try:
        every = json.loads(path.read_bytes())
        for found in every.values():
            if not isinstance(found, list):
                raise ValueError("reigns that are no list")
            for reign in found:
                kept = Reign(**reign)
                if not all(isinstance(part, str) for part in asdict(kept).values()):
                    raise ValueError("a part that is no text")
                if Path(kept.bundle).name != kept.bundle or kept.bundle.startswith("."):
                    raise ValueError("a bundle outside its folder")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        raise InputError(
            f"{path} cannot be read",
            expected="what `intentcast promote` wrote",
            next_step="move it away; then promote the bundle that is to be served",
        ) from None
    return dict(every)
