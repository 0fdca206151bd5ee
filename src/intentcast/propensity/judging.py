"""What learners that had not seen some rows say of them: fitted before a window, judged on it."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import numpy as np

from intentcast.config import LearnerConfig
from intentcast.errors import RefusedError
from intentcast.propensity.blend import blended
from intentcast.propensity.booster import BoosterModel, fit_booster, load_lightgbm
from intentcast.propensity.hazard import HazardAt, HazardModel, fit_hazard
from intentcast.propensity.logistic import LogisticModel, fit_logistic
from intentcast.propensity.margins import Floats, level_shift, margin_losses
from intentcast.propensity.periods import Followed
from intentcast.propensity.rows import N_GROUPS, TrainingRows, Window, account_groups
from intentcast.propensity.steps import Step


class HasMargins(Protocol):
    """What was fitted on some rows and judges others."""

    def margins(self, features: Floats) -> Floats:
        """Return log-odds, shape (n,)."""


class Workers:
    """Runs fits beside the caller where there is a second thread; no number depends on it."""

    def __init__(self, threads: int) -> None:
        # Its import hides other libraries for a moment: not while another thread imports those.
        load_lightgbm()
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, fit: Callable[[], HazardModel]) -> "Future[HazardModel]":
        """Run a fit beside the caller, or at once where there is no second thread."""
        if self._pool:
            return self._pool.submit(fit)
        done: Future[HazardModel] = Future()
        done.set_result(fit())
        return done


class Fits:
    """Hazard models by what they may know, each fitted once whoever asks."""

    def __init__(self, followed: Followed, config: LearnerConfig, workers: Workers) -> None:
        self.followed, self.config = followed, config
        self._workers = workers
        self._begun: dict[tuple[str, int], Future[HazardModel]] = {}
        self._cut: dict[tuple[str, int, int], HazardModel] = {}
        self._growth = 1.0

    def prepare(self, judged: "Judged", *, refit: bool = True) -> None:
        """Begin what will be needed, so that it runs beside the regressions."""
        fits = [("before", window.start) for window in judged.windows]
        fits = fits or [("without", group) for group in range(N_GROUPS)]
        for kind, number in fits:
            self.begin(kind, number)
        if refit:
            slim = replace(self.followed, features=self.followed.features[:, :0])
            judged_on = float(np.mean([_known(slim, *fit).n_converted for fit in fits]))
            self._growth = max(1.0, float(np.sqrt(slim.n_converted / max(judged_on, 1.0))))
            self.begin("all", 0)

    def begin(self, kind: str, number: int) -> "Future[HazardModel]":
        """Begin the fit on all, on what was known `before` an instant, or `without` a group."""
        if (kind, number) not in self._begun:
            self._begun[kind, number] = self._workers.begin(partial(self._fit, kind, number))
        return self._begun[kind, number]

    def hazard(self, kind: str, number: int, days: int, rounds: int) -> HazardAt:
        """Return such a fit after some rounds, of those in the settings, asked at one horizon.

        The fit on all takes more rounds than those that were judged, as it has more to learn from:
        √(its conversions / theirs) times as many.
        """
        if kind == "all":
            rounds = round(rounds * self._growth)
        key = (kind, number, rounds)
        if key not in self._cut:
            self._cut[key] = self.begin(kind, number).result().first(rounds)
        return HazardAt(self._cut[key], days)

    def _fit(self, kind: str, number: int) -> HazardModel:
        settings = self.config.hazard
        most = round(settings.rounds[-1] * (self._growth if kind == "all" else 1.0))
        return fit_hazard(
            _known(self.followed, kind, number),
            booster=self.config.booster,
            settings=settings.model_copy(update={"rounds": (most,)}),
            seed=self.config.seed,
        )


def _known(followed: Followed, kind: str, number: int) -> Followed:
    """Return what a fit may know, named as `Fits.begin` has it."""
    if kind == "before":
        return followed.censored_at(number)
    if kind == "without":
        return followed.where(~account_groups(followed.clusters)[number])
    return followed


class Known(NamedTuple):
    """What the two learners say of the judged rows, each with its setting that did best there.

    Attributes:
        logistic: Log-odds of the regression.
        hazard: Of the hazard learner.
        penalty: The regression's inverse penalty.
        rounds: Of the hazard learner's trees.
    """

    logistic: Floats
    hazard: Floats
    penalty: float
    rounds: int

    def of(self, step: Step) -> Floats:
        """Return a step's log-odds."""
        if step == "logistic":
            return self.logistic
        return self.hazard if step == "hazard" else blended(self.logistic, self.hazard)


class Judged:
    """The rows of one horizon, and what models that had not seen them say of them.

    Attributes:
        positions: Of the judged rows among all: of every window in turn, or of every row.
        recent: Where among them the most recent window's are; all, for account folds.
    """

    def __init__(self, rows: TrainingRows, fits: Fits, windows: Sequence[Window]) -> None:
        self.rows, self.fits, self.windows = rows, fits, windows
        parts = [np.flatnonzero(window.of(rows)) for window in windows]
        self.positions = np.concatenate(parts) if parts else np.arange(len(rows))
        n_recent = len(parts[-1]) if parts else len(rows)
        self.recent = slice(len(self.positions) - n_recent, None)
        self.scheme = "later slice" if windows else "account folds"

    def out_of_sample(self, fit: Callable[[TrainingRows], HasMargins]) -> Floats:
        """Return log-odds at `positions`, each from a fit that had not seen the row."""
        return self._each(lambda kind, number: fit(self._known(kind, number)))

    def hazard(self, rounds: int) -> Floats:
        """Return the hazard learner's log-odds at `positions` after some rounds, likewise."""
        days = self.rows.horizon_days
        return self._each(lambda kind, number: self.fits.hazard(kind, number, days, rounds))

    def margins(self, step: Step, known: "Known") -> Floats:
        """Return a step's log-odds at `positions`, given those of the two learners."""
        if step == "lightgbm":
            return self.out_of_sample(partial(boost, config=self.fits.config))
        return known.of(step)

    def levelled(self, margins: Floats) -> Floats:
        """Return log-odds with each window's mean probability set to the share that converted.

        A base rate that moved between training and window moves every learner's loss, and most that
        of the one that spreads most. It tells nothing of which learner to ship: that one is
        refitted with the window among its rows, and its calibration sets the level on it.

        Args:
            margins: At `positions`.
        """
        converted = self.rows.converted[self.positions]
        out = margins.copy()
        times = self.rows.times[self.positions]
        for window in self.windows or [Window(int(times.min()))]:
            here = (times >= window.start) & (times < window.stop)
            if 0 < converted[here].sum() < here.sum():
                out[here] += level_shift(margins[here], float(converted[here].sum()))
        return out

    def log_loss(self, margins: Floats) -> float:
        """Return the mean log loss of levelled log-odds."""
        m = self.levelled(margins)
        return float(np.mean(margin_losses(m, self.rows.converted[self.positions])))

    def _each(self, learner: Callable[[str, int], HasMargins]) -> Floats:
        """Ask one learner per window or account group, named as `Fits.begin` has it."""
        rows = self.rows
        if self.windows:
            return np.concatenate(
                [
                    learner("before", window.start).margins(rows.features[window.of(rows)])
                    for window in self.windows
                ]
            )
        margins = np.zeros(len(rows))
        for group, held_out in enumerate(account_groups(rows.clusters)):
            if held_out.any():
                margins[held_out] = learner("without", group).margins(rows.features[held_out])
        return margins

    def _known(self, kind: str, number: int) -> TrainingRows:
        """Return the rows whose labels were known `before` an instant, or `without` a group."""
        if kind == "before":
            return self.rows.where(self.rows.over_by(number))
        others = self.rows.where(~account_groups(self.rows.clusters)[number])
        _refuse_one_sided(others, self.rows)
        return others


def _refuse_one_sided(others: TrainingRows, rows: TrainingRows) -> None:
    if len(np.unique(others.converted)) < 2:
        raise RefusedError(
            f"conversions, or their absence, in one fifth of the accounts only "
            f"({int(rows.converted.sum()):,} of {len(rows):,} training snapshots converted "
            f"within {rows.horizon_days} days)",
            expected="both outside any fifth of the accounts",
            next_step="wait for outcomes of more accounts, or use a scorecard",
        )


def regress(part: TrainingRows, *, penalty: float) -> LogisticModel:
    """Fit the logistic step."""
    return fit_logistic(part.features, part.converted, names=part.names, inverse_penalty=penalty)


def boost(part: TrainingRows, *, config: LearnerConfig) -> BoosterModel:
    """Fit the contender with one LightGBM per horizon."""
    return fit_booster(
        part.features,
        part.converted,
        names=part.names,
        settings=config.booster,
        seed=config.seed,
    )
