"""Which bundle `intentcast serve` serves: the given one, the champion, or the last good one."""

import shutil

import pytest

from intentcast.cli.serve import run
from intentcast.errors import InputError
from intentcast.scoring import load_bundle
from serving.kept import KeptBundles
from tests.fixtures_world import bundle_folder
from tests.serving_registry import write_keys


@pytest.fixture
def served(monkeypatch, tmp_path):
    """Run the command in an empty folder; give the settings that the server would get."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = []
    monkeypatch.setattr("serving.run.run", found.append)

    def serve(**options):
        run(**options)
        return found[-1]

    return serve


def test_a_given_bundle_is_served_and_nothing_is_followed(served, tmp_path):
    folder = bundle_folder("logistic")
    settings = served(bundle=folder, keys=write_keys(tmp_path / "keys.toml"), workers=3)
    assert (settings.bundle, settings.bundles, settings.keep) == (folder, None, None)
    assert (settings.workers, settings.host, settings.port) == (3, "127.0.0.1", 8080)
    assert settings.keys == tmp_path / "keys.toml"


def test_without_a_bundle_the_champion_is_followed_and_the_newest_stands_in(served, tmp_path):
    bundles = tmp_path / "models" / "bundles"
    folder = bundle_folder("logistic")
    shutil.copytree(folder, bundles / folder.name)
    settings = served()
    assert settings.bundles == bundles
    assert settings.bundle == bundles / folder.name
    assert settings.model == load_bundle(folder).name
    assert settings.keep.is_relative_to(tmp_path / "cache")


def test_where_the_folder_is_lost_the_last_good_bundle_is_served(served, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no bundle in"):
        served()
    monkeypatch.setenv("INTENTCAST_KEEP", str(tmp_path / "kept"))
    folder = bundle_folder("logistic")
    KeptBundles(tmp_path / "kept").keep(folder, load_bundle(folder))
    settings = served()
    assert settings.bundle.parent == tmp_path / "kept"
    assert settings.keep == tmp_path / "kept"
    assert settings.model == load_bundle(folder).name


def test_a_folder_that_is_no_bundle_is_refused_before_anything_starts(served, tmp_path):
    with pytest.raises(InputError, match="no bundle in"):
        served(bundle=tmp_path)
