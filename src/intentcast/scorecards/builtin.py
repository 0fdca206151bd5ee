"""Where scorecard files are: those that come with the project, and a data set's own."""

from pathlib import Path

from intentcast.errors import ConfigError
from intentcast.scorecards.reading import read_scorecard
from intentcast.sources import Dataset

NAMES = ("playbook", "signals", "crm_linear")
OWN_FILE = "scorecard.toml"

_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDERS = (_PACKAGE / "builtin" / "scorecards", _PACKAGE.parents[1] / "models" / "scorecards")


def builtin_scorecards() -> list[Path]:
    """Return the files of the built-in points tables, the playbook first.

    They are inside an installed package, or in `models/scorecards` of a checkout.

    Raises:
        ConfigError: If they are in neither place.
    """
    for folder in _FOLDERS:
        paths = [folder / f"{name}.toml" for name in NAMES]
        if all(path.is_file() for path in paths):
            return paths
    raise ConfigError(
        f"no {', '.join(f'{name}.toml' for name in NAMES)} in {' or '.join(map(str, _FOLDERS))}",
        expected="the built-in scorecards there",
        next_step="install the package again, or run from a complete checkout",
    )


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
