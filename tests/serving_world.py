"""Two small bundles for a server: those of the small world, as two versions of one model."""

from pathlib import Path
from typing import NamedTuple

import pytest

from intentcast.sources import Dataset
from tests import fixtures_world


class World(NamedTuple):
    """A simulated data set, and two bundles trained on it that answer differently."""

    dataset: Dataset
    boosted: Path
    logistic: Path


@pytest.fixture(scope="session")
def world():
    boosted, logistic = sorted((fixtures_world.bundles_folder() / "versions").iterdir())
    return World(fixtures_world.world(), boosted, logistic)
