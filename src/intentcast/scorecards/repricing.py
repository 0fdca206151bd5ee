"""Points refitted from what became of the leads, on the same rules, caps, decay and thresholds.

A hit weighs what it adds to the present score: after the decay and after the share that the caps
leave. Points are then `θ_r · points_r` with the multipliers of `multipliers`, brought to the
table's scale by `anchoring`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from intentcast.errors import RefusedError
from intentcast.scorecards.anchoring import Anchor, anchor, unit_of
from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.evidence import Evidence, gather, labelled
from intentcast.scorecards.hits import Floats, rules_of, steps_of
from intentcast.scorecards.multipliers import fit_multipliers, resampled_theta
from intentcast.scorecards.penalty import Candidate, choose
from intentcast.scorecards.scoring import score_snapshots
from intentcast.sources import Dataset

# Vittinghoff and McCulloch 2007 (https://doi.org/10.1093/aje/kwk052): five to nine events per
# variable are usually enough, and here the present table steadies the fit as well.
CONVERSIONS_PER_RULE = 5
FEWEST_CONVERSIONS = 30
N_RESAMPLES = 1000
Target = Literal["outcomes", "probabilities"]
_SUFFIX: dict[Target, str] = {"outcomes": "-repriced", "probabilities": "-distilled"}
_NAME_LENGTH = 64


@dataclass(frozen=True)
class RepricedRule:
    """One rule, old beside new.

    Attributes:
        item: Its name.
        kind: attribute or behaviour.
        old: Present points.
        new: Refitted points.
        low: Of the 95 % interval of the refitted points, before rounding.
        high: Likewise.
        n_leads: Leads that ever met it.
        n_converted: Of them, converted.
        has_support: False where nobody met it: it keeps its points, scaled.
    """

    item: str
    kind: Literal["attribute", "behaviour"]
    old: Decimal
    new: Decimal
    low: float
    high: float
    n_leads: int
    n_converted: int
    has_support: bool


@dataclass(frozen=True)
class Repricing:
    """What a refit found.

    Attributes:
        old: The present table.
        new: The refitted one.
        rules: Attributes first, in the order of the file.
        source: What it was fitted to, in words.
        fitted_to: Conversions, or probabilities: then `n_converted` are expected conversions, the
            sum of each lead's highest probability.
        known_by: Nothing known at or after this instant was used.
        first: First as-of time fitted to.
        last: Last.
        horizon_days: Of the conversions.
        n_snapshots: Fitted to.
        n_leads: Of how many leads.
        n_converted: Of them, converted.
        chosen: The penalty, and how it did on the leads that judged it.
        tried: Every candidate.
        anchor: What was held equal.
    """

    old: Scorecard
    new: Scorecard
    rules: tuple[RepricedRule, ...]
    source: str
    fitted_to: Target
    known_by: datetime
    first: datetime
    last: datetime
    horizon_days: int
    n_snapshots: int
    n_leads: int
    n_converted: int
    chosen: Candidate
    tried: tuple[Candidate, ...]
    anchor: Anchor

    def to_json(self) -> dict[str, Any]:
        """Return the refit as JSON values; points as numbers."""
        return {
            "scorecard": self.old.name,
            "repriced": self.new.name,
            "source": self.source,
            "fitted_to": self.fitted_to,
            "known_by": self.known_by.isoformat(),
            "as_of_times": [self.first.isoformat(), self.last.isoformat()],
            "horizon_days": self.horizon_days,
            "n_snapshots": self.n_snapshots,
            "n_leads": self.n_leads,
            "n_converted": self.n_converted,
            "penalty": None if np.isinf(self.chosen.penalty) else self.chosen.penalty,
            "saturates": self.chosen.saturates,
            "judged_by": self.chosen.judge,
            "anchor": {
                "threshold": self.anchor.threshold,
                "old": self.anchor.n_old,
                "new": self.anchor.n_new,
            },
            "classes": {"old": _classes(self.old), "new": _classes(self.new)},
            "rules": [
                {
                    "item": rule.item,
                    "kind": rule.kind,
                    "old": float(rule.old),
                    "new": float(rule.new),
                    "ci95": [rule.low, rule.high],
                    "n_leads": rule.n_leads,
                    "n_converted": rule.n_converted,
                    "has_support": rule.has_support,
                }
                for rule in self.rules
            ],
        }


def _classes(card: Scorecard) -> dict[str, float | None]:
    classes = card.classes
    return {
        "warm": None if classes.warm is None else float(classes.warm),
        "hot": float(classes.hot),
        "hot_needs_attributes": float(classes.hot_needs_attributes),
    }


def reprice(
    card: Scorecard,
    dataset: Dataset,
    *,
    times: Sequence[datetime],
    known_by: datetime,
    on_progress: Callable[[str], None] | None = None,
) -> Repricing:
    """Refit the points of a table to matured outcomes.

    Args:
        card: The present table.
        dataset: What became known at or after `known_by` is not used.
        times: Candidate as-of times; those whose primary horizon is over by then are used.
        known_by: The instant at which the refit pretends to happen.
        on_progress: Called with what is being done.

    Raises:
        RefusedError: With too few conversions, saying how many more are needed.
    """
    say = on_progress or (lambda _: None)
    say("rule hits and outcomes")
    gathered = gather(card, dataset, times=times, known_by=known_by)
    evidence = labelled(gathered, dataset, known_by=known_by)
    refuse_too_little(evidence)
    return refit(
        card,
        dataset,
        evidence,
        lambda cut: labelled(gathered, dataset, known_by=cut),
        source=f"conversions within {dataset.config.conversion.primary_horizon_days} days",
        on_progress=say,
    )


def refuse_too_little(evidence: Evidence) -> None:
    """Refuse with fewer than 30 converted leads, or 5 for each rule that anyone met.

    Raises:
        RefusedError: Saying how many more conversions are needed.
    """
    n_rules = int((evidence.hits.alone > 0).any(axis=0).sum())
    needed = max(FEWEST_CONVERSIONS, CONVERSIONS_PER_RULE * n_rules)
    missing = needed - evidence.n_converted
    if missing > 0:
        raise RefusedError(
            f"{evidence.n_converted} converted leads for {n_rules} rules that were met",
            expected=f"at least {needed} converted leads",
            next_step=f"reprice after {missing} more conversions, or with fewer rules",
        )


def refit(
    card: Scorecard,
    dataset: Dataset,
    evidence: Evidence,
    known_at: Callable[[datetime], Evidence],
    *,
    source: str,
    fitted_to: Target = "outcomes",
    volumes: Mapping[str, int] | None = None,
    on_progress: Callable[[str], None],
) -> Repricing:
    """Choose a penalty, fit multipliers, bring points to the table's scale, count support.

    Args:
        card: The present table.
        dataset: To score the anchoring snapshots.
        evidence: All rows.
        known_at: Gives the rows whose target was known at an instant, as it was known then.
        source: What the target is, in words.
        fitted_to: What it is, for the name of the new table.
        volumes: Leads that are to reach `hot` and `warm`; without them, as many as now.
        on_progress: Called with what is being done.

    Raises:
        RefusedError: If no rule was ever met, none that anyone met earns points, or no scale fits:
            see `anchor`.
    """
    if not (evidence.hits.alone > 0).any():
        raise RefusedError(
            "no rule of the table was ever met",
            expected="at least one",
            next_step="check event types, content patterns and columns with `intentcast check`",
        )
    steps = np.array([float(step) for step in steps_of(card)])
    points = np.array([float(rule.points) for rule in rules_of(card)])
    spread = float(np.einsum("ij,j->i", evidence.hits.weights, points).std()) or 1.0

    def parts(rows: Evidence, *, saturates: bool) -> Floats:
        weights = rows.hits.weights
        if saturates:
            score = np.einsum("ij,j->i", weights, points)
            hot = float(card.classes.hot)
            weights = weights * np.minimum(1.0, hot / np.maximum(score, hot))[:, None]
        out: Floats = weights * steps / spread
        return out

    on_progress("how far points may leave the table")
    chosen, tried = choose(evidence, known_at, parts)
    columns = parts(evidence, saturates=chosen.saturates)
    fitted = fit_multipliers(columns, evidence.target, penalty=chosen.penalty)
    met = (columns != 0).any(axis=0)
    # A rule that takes points away, or that nobody met, cannot bring anyone to a threshold.
    if not ((fitted.theta * steps)[met] > 0).any():
        raise RefusedError(
            "no rule of the table whose hits speak for a conversion",
            expected="at least one that converters meet more often than others",
            next_step="keep the table, and add rules for what converters do",
        )
    on_progress("intervals over accounts")
    resampled = resampled_theta(
        fitted, columns, evidence.target, evidence.accounts, n_resamples=N_RESAMPLES, seed=7
    )
    on_progress("points on the table's scale")
    snapshots = evidence.snapshots
    new, held, factor = anchor(
        card,
        fitted.theta * steps,
        lambda table: score_snapshots(table, dataset, snapshots),
        volumes,
    )
    low, high = np.percentile(resampled * steps * factor, [2.5, 97.5], axis=0)
    kinds = ["attribute"] * len(card.attributes) + ["behaviour"] * len(card.behaviours)
    digits = max(1, -int(unit_of(card).as_tuple().exponent) + 1)
    rules = tuple(
        RepricedRule(
            item=before.item,
            kind=kind,
            old=before.points,
            new=after.points,
            low=round(float(a), digits),
            high=round(float(b), digits),
            n_leads=n,
            n_converted=k,
            has_support=bool(n),
        )
        for before, after, kind, a, b, (n, k) in zip(
            rules_of(card), rules_of(new), kinds, low, high, evidence.support(), strict=True
        )
    )
    return Repricing(
        old=card,
        new=new.model_copy(update={"name": _new_name(card.name, _SUFFIX[fitted_to])}),
        rules=rules,
        source=source,
        fitted_to=fitted_to,
        known_by=evidence.known_by,
        first=snapshots["as_of"].min(),  # type: ignore[arg-type]
        last=snapshots["as_of"].max(),  # type: ignore[arg-type]
        horizon_days=dataset.config.conversion.primary_horizon_days,
        n_snapshots=len(snapshots),
        n_leads=snapshots["lead_id"].n_unique(),
        n_converted=evidence.n_converted,
        chosen=chosen,
        tried=tried,
        anchor=held,
    )


def _new_name(name: str, suffix: str) -> str:
    """Return a name of at most 64 characters; refitting again does not add to it again."""
    return f"{name.removesuffix(suffix)[: _NAME_LENGTH - len(suffix)]}{suffix}"
