"""Search for the trees' settings by inner temporal validation, within a budget; off by default.

Each trial is a line in a journal file. A search that was killed goes on where it stopped, and finds
what it would have found: the sampler's seed is the configured one plus the trial's number.
"""

import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from intentcast.config import LearnerConfig
from intentcast.propensity.judging import Fits, Judged, Workers
from intentcast.propensity.ladder import refuse_too_little
from intentcast.propensity.periods import Followed
from intentcast.propensity.rows import TrainingRows, inner_windows


def searched(rows: TrainingRows, followed: Followed, config: LearnerConfig) -> LearnerConfig:
    """Return the settings with the trees that had the least log loss on the inner windows.

    What is in the file already is the first trial, so the result is no worse there. Nothing later
    than training time is looked at. The search stops after `search.trials` trials or
    `search.seconds`, whichever is first; the second makes the result depend on the machine.

    Args:
        rows: Of the primary horizon.
        followed: All training snapshots.
        config: With `search.trials` above 0; else it is returned as it is.

    Raises:
        RefusedError: If there are too few conversions.
    """
    if not config.search.trials:
        return config
    import optuna
    from optuna.storages.journal import JournalFileBackend

    refuse_too_little(rows, config)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = Path(config.search.folder)
    folder.mkdir(parents=True, exist_ok=True)
    name = _fingerprint(rows, followed, config)
    study = optuna.create_study(
        study_name=name,
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(folder / f"{name}.journal"))),
        load_if_exists=True,
    )
    if not study.trials:
        study.enqueue_trial(_present(config))
    until = time.monotonic() + config.search.seconds
    while (done := _n_done(study)) < config.search.trials and time.monotonic() < until:
        study.sampler = optuna.samplers.TPESampler(seed=config.seed + done)
        study.optimize(lambda trial: _loss(rows, followed, _drawn(config, trial)), n_trials=1)
    return _with(config, study.best_params) if _n_done(study) else config


def _n_done(study: Any) -> int:
    return sum(trial.value is not None for trial in study.trials)


def _present(config: LearnerConfig) -> dict[str, Any]:
    trees = config.booster
    return {
        "num_leaves": trees.num_leaves,
        "min_data_in_leaf": trees.min_data_in_leaf,
        "feature_fraction": trees.feature_fraction,
        "lambda_l2": trees.lambda_l2,
    }


def _drawn(config: LearnerConfig, trial: Any) -> LearnerConfig:
    drawn = {
        "num_leaves": trial.suggest_int("num_leaves", 3, 24),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 10, 400, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.1, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.1, 100.0, log=True),
    }
    return _with(config, drawn)


def _with(config: LearnerConfig, drawn: dict[str, Any]) -> LearnerConfig:
    return config.model_copy(update={"booster": config.booster.model_copy(update=drawn)})


def _loss(rows: TrainingRows, followed: Followed, config: LearnerConfig) -> float:
    """Return the hazard learner's log loss on the inner windows, with the rounds that suit it."""
    with Workers(config.threads) as workers:
        fits = Fits(followed, config, workers)
        judged = Judged(rows, fits, inner_windows(rows, config.calibration))
        fits.prepare(judged, refit=False)
        return min(judged.log_loss(judged.hazard(n)) for n in config.hazard.rounds)


def _fingerprint(rows: TrainingRows, followed: Followed, config: LearnerConfig) -> str:
    """Return a name for the search that is the same for the same data and settings alone."""
    found = 0
    for array in (followed.features, followed.n_over, followed.converted_in, rows.converted):
        found = zlib.crc32(np.ascontiguousarray(array).tobytes(), found)
    settings = config.model_dump_json(exclude={"search", "threads"})
    return f"{found:08x}-{zlib.crc32(settings.encode()):08x}"
