"""Which bundle a command uses, and with which thresholds."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intentcast.errors import InputError

if TYPE_CHECKING:
    from intentcast.bundle import Bundle
    from intentcast.sources import Dataset

BUNDLES = Path("models/bundles")

BundleFolder = Annotated[
    Path | None,
    typer.Option(
        metavar="B", help="Bundle folder; without it the champion in models/bundles, or the newest."
    ),
]
PolicyFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Policy from `calibrate`, instead of the bundle's tiers."),
]
PreviousScores = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Scores told last (from `score`): with a policy's leave thresholds, a lead keeps its "
        "tier above them.",
    ),
]


def open_bundle(folder: Path | None, policy: Path | None = None) -> tuple["Bundle", list[str]]:
    """Load the bundle in use, with a policy's thresholds; also return what is odd about the two.

    Raises:
        InputError: If there is no bundle, or no such policy.
        BundleError: If one of them is damaged, or they are of different horizons.
    """
    from intentcast.scoring import load_bundle, with_policy

    loaded = load_bundle(bundle_in_use(folder))
    return with_policy(loaded, policy) if policy is not None else (loaded, [])


def bundle_in_use(folder: Path | None) -> Path:
    """Return the given bundle; without one the champion in `models/bundles`, or the newest.

    Of several models the champion is that of the newest bundle's name.

    Raises:
        InputError: If there is none.
    """
    from intentcast.champions import champion

    if folder is not None:
        return folder
    newest = newest_bundle(BUNDLES)
    return champion(BUNDLES, bundle_name(newest)) or newest


def newest_bundle(within: Path) -> Path:
    """Return the newest bundle of a folder.

    Raises:
        InputError: If there is none.
    """
    # A name that begins with a dot is a bundle still being written.
    found = [path.parent for path in within.glob("[!.]*/manifest.json")]
    if not found:
        raise InputError(
            f"no bundle in {within}",
            expected="at least one",
            next_step="run `intentcast train DIR`, or give --bundle",
        )
    return max(found, key=lambda path: (_told(path, "created"), path.name))


def bundle_name(bundle: Path) -> str:
    """Return the name that a bundle's manifest gives its model, or nothing."""
    return _told(bundle, "name")


def _told(bundle: Path, key: str) -> str:
    try:
        return str(json.loads((bundle / "manifest.json").read_bytes()).get(key, ""))
    except (OSError, ValueError, AttributeError):
        return ""


def refuse_strange(bundle: "Bundle", dataset: "Dataset") -> None:
    """Refuse a bundle whose probabilities are not those of the data set's settings.

    Raises:
        InputError: If its name or its primary horizon is another.
    """
    days = dataset.config.conversion.primary_horizon_days
    if (bundle.name, bundle.primary_horizon_days) != (dataset.config.name, days):
        raise InputError(
            f"a bundle of {bundle.name} for {bundle.primary_horizon_days} days",
            expected=f"one of {dataset.config.name} for {days} days, as dataset.toml says",
            next_step="give its --bundle, or train one",
        )
