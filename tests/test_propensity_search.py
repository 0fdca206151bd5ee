"""The search for settings: within its budget, no worse than the file, the same when resumed."""

import pytest

from intentcast.propensity import judging, search
from intentcast.propensity.search import searched
from tests.test_propensity_ladder import config, drawn, followed_of


def asked(folder, trials, **changes):
    settings = {"trials": trials, "folder": str(folder), **changes}
    return config(hazard={"rounds": 60}, search=settings)


@pytest.fixture(scope="module")
def rows():
    return drawn("interaction", n_accounts=40)


def test_without_trials_nothing_is_searched(rows, tmp_path):
    settings = asked(tmp_path / "none", 0)
    assert searched(rows, followed_of(rows), settings) is settings
    assert not (tmp_path / "none").exists()


def test_a_search_is_no_worse_than_the_file_on_the_inner_windows(rows, tmp_path):
    settings = asked(tmp_path, 4)
    found = searched(rows, followed_of(rows), settings)
    before, after = (search._loss(rows, followed_of(rows), s) for s in (settings, found))
    assert after <= before
    assert len(list(tmp_path.glob("*.journal"))) == 1
    # What is searched for changes, nothing else.
    same = {"booster": settings.booster, "hazard": settings.hazard}
    assert found.model_copy(update=same) == settings


def test_a_search_that_was_killed_finds_what_it_would_have_found(rows, tmp_path, monkeypatch):
    whole = searched(rows, followed_of(rows), asked(tmp_path / "whole", 4))
    fit, fitted = judging.fit_hazard, []

    def dies(*parts, **how):
        fitted.append(1)
        if len(fitted) > 5:
            raise KeyboardInterrupt
        return fit(*parts, **how)

    with monkeypatch.context() as patched:
        patched.setattr(judging, "fit_hazard", dies)
        with pytest.raises(KeyboardInterrupt):
            searched(
                rows,
                followed_of(rows),
                asked(
                    tmp_path / "killed",
                    4,
                ),
            )
    again = searched(rows, followed_of(rows), asked(tmp_path / "killed", 4))
    assert again.booster == whole.booster
    assert again.hazard == whole.hazard


def test_the_seconds_end_it_before_the_trials(rows, tmp_path):
    settings = asked(tmp_path, 500, seconds=1e-6)
    assert searched(rows, followed_of(rows), settings) is settings


def test_other_data_are_another_search(rows, tmp_path):
    searched(rows, followed_of(rows), asked(tmp_path, 1))
    fewer = rows.where(rows.clusters < 30)
    searched(fewer, followed_of(fewer), asked(tmp_path, 1))
    assert len(list(tmp_path.glob("*.journal"))) == 2
