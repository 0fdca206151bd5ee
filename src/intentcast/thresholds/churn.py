"""Whose tier would flip because of new thresholds alone: the same probabilities, two policies."""

from collections import Counter
from dataclasses import dataclass

from intentcast.errors import RefusedError
from intentcast.propensity.margins import Floats
from intentcast.tiers import Tier, TierPolicy


@dataclass(frozen=True)
class Churn:
    """How many leads change tier.

    Attributes:
        n_leads: Leads that are scored now.
        n_flipped: Of them, in another tier.
        n_listed: Newly deprioritised where there was no such list before; from cold this is not a
            flip, as the policy before did not tell the two apart.
        moves: `from → to` and how many.
    """

    n_leads: int
    n_flipped: int
    n_listed: int
    moves: dict[str, int]

    @property
    def share(self) -> float:
        """Share of leads that flip."""
        return self.n_flipped / self.n_leads if self.n_leads else 0.0


def measure_churn(probabilities: Floats, old: TierPolicy, new: TierPolicy) -> Churn:
    """Return whose tier flips: each lead without a previous tier, under the old and the new."""
    before, after = old.tiers(probabilities), new.tiers(probabilities)
    listed = sum(tier == "deprioritised" for tier in after) if old.deprioritise is None else 0
    told_apart = old.deprioritise is not None and new.deprioritise is not None

    def shown(tier: Tier) -> Tier:
        return "cold" if tier == "deprioritised" and not told_apart else tier

    moves = Counter(
        f"{shown(a)} → {shown(b)}"
        for a, b in zip(before, after, strict=True)
        if shown(a) != shown(b)
    )
    return Churn(len(probabilities), sum(moves.values()), listed, dict(sorted(moves.items())))


def refuse_churn(churn: Churn, *, most: float, proposed: str) -> None:
    """Refuse more flips than the budget; `proposed` is the file that holds the policy for now.

    Raises:
        RefusedError: With the moves.
    """
    if churn.share <= most:
        return
    told = ", ".join(f"{n} {move}" for move, n in churn.moves.items())
    raise RefusedError(
        f"{churn.n_flipped} of {churn.n_leads} leads ({churn.share:.1%}) would change tier by the "
        f"new thresholds alone ({told})",
        expected=f"at most {most:.1%} (--max-churn)",
        next_step=f"tell sales, then rename {proposed} (it is whole), or give --accept-churn",
    )
