"""Thresholds that a command uses: the bundle's, or those of a policy file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from intentcast.bundle import Bundle
    from intentcast.tiers import TierPolicy

PolicyFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Policy from `calibrate`, instead of the bundle's tiers."),
]


def chosen_tiers(policy: Path | None, bundle: "Bundle") -> tuple["TierPolicy", list[str]]:
    """Return the thresholds to use, and what is odd about using them with a bundle.

    Raises:
        BundleError: If the policy is damaged, or of another horizon.
        InputError: If there is no such file.
    """
    from intentcast.scoring import with_policy

    if policy is None:
        return bundle.tiers, []
    loaded, odd = with_policy(bundle, policy)
    return loaded.tiers, odd
