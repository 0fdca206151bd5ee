"""The usual step unless it is clearly worse, by two standard errors; else the simplest."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intentcast.propensity.margins import Floats, margin_losses

# Beyond so many times the conversions of today, a number would only pretend to be known.
_FARTHEST = 100.0
# Standard errors from which on a difference is clear: one is passed by chance one time in six, and
# whoever leaves the usual on it loses more often than not (decision 20).
CLEARLY = 2.0


@dataclass(frozen=True)
class Choice:
    """What was chosen and why.

    Attributes:
        step: The step chosen.
        best: The step of least log loss.
        log_loss: Out of sample, per step.
        gain: Log loss of the chosen step minus that of the best of the later ones; above 0 where
            the later one did better. 0 on the last step.
        error: Standard error of that difference, clustered by account.
        rival: That later step; None on the last.
        more_converted: How many more conversions the rival would need for `gain` to exceed two
            standard errors, if both stay what they are; None where nothing says that it would.
        reason: All of it in words.
    """

    step: str
    best: str
    log_loss: Mapping[str, float]
    gain: float
    error: float
    rival: str | None
    more_converted: int | None
    reason: str


def choose(
    margins: Mapping[str, Floats],
    converted: Floats,
    clusters: NDArray[np.int64],
    *,
    n_converted: int,
    usual: str | None = None,
) -> Choice:
    """Return the usual step if its log loss is within two standard errors of the least.

    If it is not, or there is none, the first step that is. A mean of learners that err differently
    is a good guess before anything is known of them; the rule says when to leave it.

    The error is that of the paired difference, clustered by account: with d_i the difference of two
    steps' losses of snapshot i, se² = Σ_g (Σ_{i in g} (d_i − d̄))² / n² (Liang and Zeger 1986,
    accounts independent). It falls as 1/√n, so a difference d > 0 that is below two of them now
    would exceed them with n · (2 se / d)² conversions.

    Args:
        margins: Out-of-sample log-odds per step, simplest first, each of shape (n,).
        converted: 0 or 1, shape (n,).
        clusters: Account numbers, shape (n,).
        n_converted: Conversions in training, from which more are counted.
        usual: The step that has to be clearly worse to be left.
    """
    losses = {step: margin_losses(m, converted) for step, m in margins.items()}
    mean = {step: float(loss.mean()) for step, loss in losses.items()}
    steps = list(margins)
    best = min(steps, key=lambda step: (mean[step], steps.index(step)))
    tried = [usual, *steps] if usual else steps
    step = next(
        step
        for step in tried
        if step == best
        or mean[step] - mean[best] <= CLEARLY * paired(losses[step], losses[best], clusters)
    )
    later = steps[steps.index(step) + 1 :]
    rival = min(later, key=lambda other: mean[other]) if later else None
    gain = mean[step] - mean[rival] if rival else 0.0
    error = paired(losses[step], losses[rival], clusters) if rival else 0.0
    more = None
    if rival and gain > 0.0 and CLEARLY * error < gain * np.sqrt(_FARTHEST):
        more = int(np.ceil(n_converted * ((CLEARLY * error / gain) ** 2 - 1.0)))
    named = "the usual" if step == usual else "the simplest"
    said = _words(named, step, best, mean, losses, clusters, rival=rival, gain=gain, more=more)
    return Choice(step, best, mean, gain, error, rival, more, said)


def paired(one: Floats, other: Floats, clusters: NDArray[np.int64]) -> float:
    """Return the standard error of the mean difference of two losses, clustered by account."""
    differences = one - other
    _, group = np.unique(clusters, return_inverse=True)
    sums = np.bincount(group, weights=differences - differences.mean())
    return float(np.sqrt((sums * sums).sum()) / len(differences))


def _words(
    named: str,
    step: str,
    best: str,
    mean: Mapping[str, float],
    losses: Mapping[str, Floats],
    clusters: NDArray[np.int64],
    *,
    rival: str | None,
    gain: float,
    more: int | None,
) -> str:
    others = ", ".join(f"{mean[other]:.4f} for {other}" for other in mean if other != step)
    if step == best:
        said = f"{step} had the least log loss out of sample: {mean[step]:.4f} v {others}"
    else:
        error = paired(losses[step], losses[best], clusters)
        said = (
            f"{step} is {named} step within two standard errors of the best: log loss "
            f"{mean[step]:.4f} out of sample v {others}, standard error {error:.4f}"
        )
    if rival is None:
        return said
    if more is not None:
        return f"{said}; {rival} would need about {max(more, 1):,} more conversions to be preferred"
    if gain > 0.0:
        return f"{said}; {rival} would need over {_FARTHEST:.0f} times the conversions"
    return f"{said}; no sign that {rival} would do better with more conversions"
