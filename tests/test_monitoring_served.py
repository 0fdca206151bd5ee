"""What the light of a server's sampled answers says."""

import polars as pl
import pytest

from intentcast.monitoring.lights import next_steps, served_signal
from intentcast.monitoring.served import served_again
from intentcast.replay import read_log
from intentcast.scoring import load_bundle
from tests.fixtures_world import bundle_folder
from tests.serving_requests import request, serve


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """A bundle and the log of a server of it."""
    log = tmp_path_factory.mktemp("log") / "samples"
    with serve(bundle_folder("logistic"), sample_to=log, sample_share=1) as client:
        client.post("/v1/predictions:batch", json=[request(explain=n % 2 == 0) for n in range(4)])
    return load_bundle(bundle_folder("logistic")), read_log(log)


def test_answers_that_are_the_batch_s_to_the_bit_are_green(sampled):
    found = served_again(*sampled)
    assert (found.n_answers, found.n_replayed, found.n_different) == (4, 4, 0)
    signal = served_signal(found)
    assert (signal.light, signal.next_step) == ("green", "")
    assert signal.sentence.startswith("4 sampled answers")
    assert next_steps([signal]) == []


def test_answers_of_another_bundle_say_nothing(sampled):
    bundle, log = sampled
    found = served_again(bundle, log.with_columns(model_sha256=pl.lit("0" * 64)))
    assert (found.n_other, found.n_replayed) == (4, 0)
    assert served_signal(found).light == "grey"


def test_of_a_long_log_the_newest_are_computed_again(sampled):
    bundle, log = sampled
    old = log.with_columns(
        answered_at=pl.col("answered_at").dt.offset_by("-1d"), answer=pl.lit("?")
    )
    long = pl.concat([old.sample(40, with_replacement=True, seed=1), log]).sort("answered_at")
    found = served_again(bundle, long, most=4)
    assert (found.n_answers, found.n_replayed, found.n_different) == (44, 4, 0)
