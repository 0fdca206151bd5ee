"""A retraining's steps, state, recommendation and page; the whole of it is in the slow tests."""

import json
import signal
import subprocess
import sys

import pytest

from intentcast.errors import InputError, RefusedError
from intentcast.retraining.page import render_page, step_lines
from intentcast.retraining.recommendation import recommend
from intentcast.retraining.state import Steps

# State: steps that are kept.

WORKER = """
import os, signal, sys
from pathlib import Path
from intentcast.retraining.state import Steps

folder, killed_in = Path(sys.argv[1]), sys.argv[2]
steps = Steps(folder, "key", print)

def work(name):
    with (folder / "log").open("a") as log:
        log.write(name + "\\n")
    if name == killed_in:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"said": name}

with steps.alone():
    for name in ("one", "two", "three"):
        steps.once(name, lambda: work(name))
"""


def run_worker(folder, killed_in=""):
    return subprocess.run([sys.executable, "-c", WORKER, folder, killed_in], check=False).returncode


def test_a_killed_process_goes_on_after_its_last_finished_step(tmp_path):
    for name in ("one", "two", "three"):
        assert run_worker(tmp_path, killed_in=name) == -signal.SIGKILL
        assert not (tmp_path / "key" / f"{name}.json").exists()
    assert run_worker(tmp_path) == 0
    assert run_worker(tmp_path) == 0
    # Each was begun once more where it had been killed, and never after it was done.
    assert (tmp_path / "log").read_text().split() == [
        "one", "one", "two", "two", "three", "three",
    ]  # fmt: skip


def steps(folder):
    return Steps(folder, "key", lambda _: None)


def test_a_result_that_holds_no_longer_is_made_again(tmp_path):
    made = []

    def work():
        made.append(1)
        return {"n": len(made)}

    assert steps(tmp_path).once("step", work)["n"] == 1
    assert steps(tmp_path).once("step", work)["n"] == 1
    assert steps(tmp_path).once("step", work, is_good=lambda kept: kept["n"] > 1)["n"] == 2


def test_a_refusal_is_a_result_and_any_other_error_is_not(tmp_path):
    def refuse():
        raise RefusedError("too little", expected="more", next_step="wait")

    def fail():
        raise InputError("no disk", expected="room", next_step="make room")

    kept = steps(tmp_path).once("step", refuse)
    assert kept == {"refused": {"found": "too little", "expected": "more", "next": "wait"}}
    with pytest.raises(InputError):
        steps(tmp_path).once("other", fail)
    assert steps(tmp_path).has("step")
    assert not steps(tmp_path).has("other")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_result_counts_as_not_done(tmp_path, damage):
    steps(tmp_path).once("step", lambda: {"n": 1})
    (tmp_path / "key" / "step.json").write_bytes(damage)
    assert steps(tmp_path).once("step", lambda: {"n": 2}) == {"n": 2}


def test_two_at_once_are_refused_and_a_process_that_ended_lets_go(tmp_path):
    refused = pytest.raises(InputError, match="another retraining")
    with steps(tmp_path).alone(), refused, steps(tmp_path).alone():
        pass
    with steps(tmp_path).alone():
        pass


# Recommendation and page.

REFUSED = {"found": "1 leak <b>", "expected": "none", "next": "remove it"}


def check(name, *, passed):
    return {
        "name": name,
        "passed": passed,
        "detail": f"{name} detail",
        "figures": {"challenger": 3.0},
    }


def findings(*, holder="small-1", passed=True, verdict="model wins", **parts):
    """What a retraining found, as `retrain.json` has it."""
    report = {
        "primary_horizon_days": 90, "n_snapshots": 2000, "n_leads": 400, "n_converted": 130,
        "base_rate": 0.06, "n_windows": 1, "badge": "The model wins", "sentence": "It won.",
        "paired": [
            {
                "b": "scorecard:playbook", "verdict": verdict, "conversions_a": 30.0,
                "conversions_b": 20.0, "handoffs": 80, "difference": 10.0, "ci95": [1.0, 20.0],
            }
        ],
        "champion_metrics": {
            "auc": 0.8, "average_precision": 0.4, "log_loss": 0.18, "brier_skill": 0.2,
            "calibration_slope": 1.0, "mean_probability": 0.06,
        },
    }  # fmt: skip
    horizon = {
        "base_rate": 0.06, "log_loss": 0.15, "auc": 0.9, "average_precision": None,
        "calibration": "platt", "n_slice": 200, "n_slice_converted": 14,
    }  # fmt: skip
    found = {
        "created": "2026-01-02T09:00:00+00:00",
        "key": "abc",
        "bundles": "models/bundles",
        "data": {"folder": "data/<i>", "sha256": "1" * 64, "files": {}},
        "code": {"version": "0.1.0", "commit": None, "sha256": "2" * 64},
        "champion": holder,
        "check": {
            "dataset": "small",
            "data_cutoff": "2026-01-01T00:00:00+00:00",
            "tables": [
                {"table": "leads", "n_rows": 9, "n_set_aside": 2, "n_duplicates": 1,
                 "rules": {"lead_id_is_unique": 2}}
            ],
            "cohort": {"rule": "engaged", "within_days": 180, "n_leads": 9, "n_times": 3},
            "leakage": {
                "n_snapshots": 99,
                "note": None,
                "findings": [
                    {"kind": "attribute", "name": "x", "verdict": "suspicious", "evidence": "odd"}
                ],
            },
            "accepted_leaks": [],
        },
        "training": {
            "bundle": "small-2", "known_by": "2026-01-01T00:00:00+00:00", "step": "logistic",
            "reason": "It had the least", "n_snapshots": 900, "n_converted": 60,
            "horizons": {"90": horizon},
        },
        "backtest": report,
        "gate": {
            "bundle": "small-2", "champion": holder, "passed": passed, "reason": "the reason",
            "checks": [check("log loss", passed=True), check("calibration", passed=passed)],
            "window": ["2025-06-01T00:00:00+00:00", "2025-09-01T00:00:00+00:00"],
            "judged": ["who"], "notes": ["a note"],
        },
    }  # fmt: skip
    return found | parts


@pytest.mark.parametrize(
    ("found", "is_champion", "verdict", "words"),
    [
        (findings(), False, "promote", "Promote small-2: it passes the gate (against small-1)."),
        (findings(), True, "promoted", "small-2 is the champion: it passes"),
        (findings(holder=None), False, "promote", "(there is no champion to be worse than)"),
        (findings(passed=False), False, "keep", "Keep small-1: small-2 does not pass the gate"),
        (findings(passed=False, holder=None), False, "keep", "Promote nothing: small-2 does not"),
        (findings(verdict="rules win"), False, "promote", "but over the whole backtest the rules"),
        (findings(gate=None), True, "champion", "small-2 is the champion already"),
        (findings(check={"refused": REFUSED}), False, "refused", "Keep small-1: the data are not"),
        (findings(training={"refused": REFUSED}), False, "refused", "too little to learn from"),
        (findings(backtest={"refused": REFUSED}), False, "refused", "too little to test on"),
        (findings(gate={"refused": REFUSED}), False, "refused", "nothing to compare on"),
    ],
)
def test_one_sentence_says_what_to_do_and_why(found, is_champion, verdict, words):
    advice = recommend(found, is_champion=is_champion)
    assert advice["verdict"] == verdict
    assert words in advice["sentence"]
    assert advice["sentence"].endswith(".")
    assert advice["reason"]
    assert advice["next"]


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"passed": False},
        {"holder": None},
        {"gate": None},
        {"backtest": {"refused": REFUSED}, "gate": None},
    ],
)
def test_the_page_is_whole_escaped_and_loads_nothing(parts):
    found = findings(**parts)
    found["recommendation"] = recommend(found, is_champion=False)
    page = render_page(found)
    assert page.lstrip().startswith("<!doctype html>")
    assert found["recommendation"]["sentence"].partition("(")[0] in page
    assert "<script" not in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert "data/<i>" not in page
    assert "<b>" not in page
    assert [name for name, _, _ in step_lines(found)] == ["Check", "Train", "Backtest", "Gate"]


def test_leaks_that_refuse_are_on_the_page_and_nothing_was_trained():
    found = findings(training=None, backtest=None, gate=None)
    found["check"] |= {"refused": REFUSED}
    found["recommendation"] = recommend(found, is_champion=False)
    page = render_page(found)
    assert "1 leak &lt;b&gt;" in page
    assert page.count("not reached") == 3
    assert json.dumps(found)
