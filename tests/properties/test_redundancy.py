"""Copies of one signal count once: the probability stays true where naive Bayes does not."""

import functools

import numpy as np
import pytest

from intentcast.propensity import LADDER
from intentcast.propensity.calibration import fit_platt
from intentcast.propensity.margins import sigmoid
from tests.benchmarks import redundancy


@functools.cache
def slopes():
    return redundancy.slopes(n_copies=6, seed=1)


@pytest.mark.parametrize("step", [*LADDER, "shipped"])
def test_six_noisy_copies_of_a_signal_leave_the_calibration_as_it_is(step):
    assert 0.9 <= slopes()[step] <= 1.1


def test_naive_bayes_counts_each_copy():
    assert slopes()["naive Bayes"] < 0.35


@pytest.mark.parametrize("slope", [0.15, 0.2, 0.25])
def test_margins_that_are_far_too_sure_get_the_map_that_mends_them(slope):
    """A whole Newton step would jump to and fro over the summit and end where it began."""
    rng = np.random.default_rng(3)
    margins = rng.uniform(-10, 6, 5000)
    converted = (rng.random(len(margins)) < sigmoid(slope * margins - 0.2)).astype(float)
    assert fit_platt(margins, converted) == pytest.approx((-0.2, slope), abs=0.06)
