"""A world that is learnt from in seconds, for tests of what happens around a training."""

import functools
from datetime import timedelta

from intentcast.config import LearnerConfig, read_settings
from intentcast.scoring import load_bundle
from intentcast.simulation import simulate, write_world
from intentcast.sources import load_dataset
from intentcast.training_run import train_bundle
from tests.fixtures_world import CREATED, handoff_settings, place

CONFIG_TOML = """\
min_converted = 5
max_rows = 1000
[features]
half_lives_days = [14]
windows_days = [14]
clustered_themes = 2
without = ["consistency"]
[booster]
rounds = 10
[hazard]
rounds = 10
[logistic]
inverse_penalties = [0.003]
[calibration]
min_converted = 5
"""


@functools.cache
def tiny_folder():
    """700 leads, two horizons, an as-of time every four weeks, one test window."""
    folder = place() / "tiny"
    write_world(simulate(n_leads=700, seed=3, name="tiny"), folder)
    toml = folder / "dataset.toml"
    text = toml.read_text(encoding="utf-8")
    for old, new in (
        ("[30, 60, 90]", "[30, 90]"),
        ("folds = 4", "folds = 1"),
        ("every_days = 7", "every_days = 28"),
    ):
        assert old in text
        text = text.replace(old, new)
    toml.write_text(text, encoding="utf-8")
    return folder


@functools.cache
def tiny():
    return load_dataset(tiny_folder())


@functools.cache
def tiny_settings_file():
    path = place() / "tiny.toml"
    path.write_text(CONFIG_TOML, encoding="utf-8")
    return path


@functools.cache
def tiny_config():
    return read_settings(tiny_settings_file(), LearnerConfig)


def train_tiny(out, *, threads=1, created=CREATED, known_by=None):
    """Train on the tiny world and write the bundle."""
    return train_bundle(
        tiny(),
        known_by=known_by or tiny().data_cutoff,
        config=tiny_config().model_copy(update={"threads": threads}),
        handoff=handoff_settings(),
        accepted_leaks=(),
        created=created,
        out=out,
    ).bundle


@functools.cache
def tiny_bundle_folder():
    """A bundle of all the data; never written to."""
    return train_tiny(place() / "tiny-bundles")


@functools.cache
def later_bundle_folder():
    """The same training three days later."""
    return train_tiny(place() / "tiny-later-bundles", created=CREATED + timedelta(days=3))


@functools.cache
def tiny_bundle():
    return load_bundle(tiny_bundle_folder())
