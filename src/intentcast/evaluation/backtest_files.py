"""A backtest with what it leaves behind: `report.json`, `predictions.parquet`, `report.html`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from intentcast.config import LearnerConfig
from intentcast.evaluation.backtest import run_backtest
from intentcast.evaluation.report import render_report
from intentcast.evaluation.summary import summarise
from intentcast.files import json_bytes, write_atomic, write_frame
from intentcast.scorecards import dataset_scorecards, read_scorecard
from intentcast.sources import Dataset
from intentcast.stages import StageSignal

REPORT, PAGE, PREDICTIONS = "report.json", "report.html", "predictions.parquet"


def write_backtest(
    dataset: Dataset,
    place: Path,
    *,
    config: LearnerConfig,
    signals: Sequence[StageSignal],
    on_progress: Callable[[str], None],
) -> dict[str, Any]:
    """Run a backtest against the data set's points tables and write its files; return the report.

    Args:
        dataset: Its `backtest` and `cohort` settings give the windows.
        place: Folder for the three files.
        config: `conversion.toml`.
        signals: Of the buying stages, which are segments of the report.
        on_progress: Called with what is being done.

    Raises:
        RefusedError: If a fold has too little to learn from.
        InputError: If the folder cannot be written to.
    """
    cards = [read_scorecard(path) for path in dataset_scorecards(dataset)]
    result = run_backtest(dataset, config=config, scorecards=cards, on_progress=on_progress)
    on_progress("comparing")
    report = summarise(result, signals=signals)
    on_progress("drawing the report")
    html = render_report(report)
    write_frame(result.predictions, place / PREDICTIONS)
    write_atomic(place / REPORT, json_bytes(report))
    write_atomic(place / PAGE, html.encode())
    return report
