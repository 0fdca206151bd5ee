"""Where scorecard files are: those that come with the project, and a data set's own."""

from pathlib import Path

from intentcast.scorecards.reading import read_scorecard
from intentcast.shipped import shipped
from intentcast.sources import Dataset

NAMES = ("playbook", "signals", "crm_linear")
OWN_FILE = "scorecard.toml"


def builtin_scorecards() -> list[Path]:
    """Return the files of the built-in points tables, the playbook first.

    They are inside an installed package, or in `models/scorecards` of a checkout.

    Raises:
        ConfigError: If they are in neither place.
    """
    folder = shipped("scorecards", in_checkout="models/scorecards")
    return [folder / f"{name}.toml" for name in NAMES]


def dataset_scorecards(dataset: Dataset) -> list[Path]:
    """Return the points tables that can score a data set, its own `scorecard.toml` first.

    Of the built-in ones, those with a behaviour rule for an event type that the data has.

    Raises:
        ConfigError: If a built-in scorecard is wrong.
    """
    own = dataset.folder / OWN_FILE
    there = set(dataset.events["event_type"].unique())
    fitting = [
        path
        for path in builtin_scorecards()
        if any(name in there for name in read_scorecard(path).event_types)
    ]
    return [own, *fitting] if own.is_file() else fitting
