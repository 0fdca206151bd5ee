"""`explain --since`: why a lead's points and tier are not what they were."""

import pytest

from tests.fixtures_world import AS_OF, bundle_folder, world_folder, world_snapshots

DAY = str(AS_OF.date())
THEN = "2025-11-20"


@pytest.fixture
def explain(cli):
    lead = world_snapshots()["lead_id"][3]

    def run(*more):
        return cli(
            "explain", world_folder(), "--bundle", bundle_folder("logistic"), "--lead", lead,
            "--as-of", DAY, *more,
        )  # fmt: skip

    return run


def test_explain_since_says_what_changed_and_adds_up(explain):
    done = explain("--since", THEN, "--since-bundle", bundle_folder("logistic"), "--json")
    found = done.json["changes"]
    tier = found["tier"]
    moved = tier["probability_after"] - tier["probability_before"]
    assert sum(step["moved"] for step in tier["steps"]) == pytest.approx(moved, abs=1e-12)
    assert tier["probability_after"] in {p["probability"] for p in done.json["probabilities"]}
    assert tier["tier_after"] == done.json["tier"]
    points = found["points"]
    assert points["score_after"] == done.json["rules"]["score"]
    gained = sum(line["points"] for line in points["lines"])
    assert gained == pytest.approx(points["score_after"] - points["score_before"], abs=1e-9)


def test_explain_since_in_words_fits_80_columns(explain):
    done = explain("--since", THEN)
    assert done.code == 0
    assert "Since 2025-11-20 00:00 UTC: " in done.stdout
    assert "\nPoints: " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--since", "2026-01-31"], "--since 2026-01-31T00:00Z is after --as-of"),
        (["--since-bundle", "x"], "--since-bundle without --since"),
    ],
)
def test_explain_refuses_times_and_bundles_that_make_no_sense(explain, options, said):
    done = explain(*options)
    assert done.code == 2
    assert said in done.stderr
