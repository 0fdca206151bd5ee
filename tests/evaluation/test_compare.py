import numpy as np
import pytest

from intentcast.evaluation.compare import compare_paired
from intentcast.propensity.margins import sigmoid

N_LEADS, N_TIMES, PER_TIME = 400, 6, 12


def small_world(seed, *, per_account=2):
    """Leads seen at every as-of time, a quality that accounts share, and what came of each."""
    rng = np.random.default_rng(seed)
    account = np.arange(N_LEADS) // per_account
    quality = rng.normal(size=account.max() + 1)[account] + 0.5 * rng.normal(size=N_LEADS)
    leads = np.tile(np.arange(N_LEADS), N_TIMES)
    times = np.repeat(np.arange(N_TIMES) * 7, N_LEADS)
    will = rng.random(N_LEADS) < sigmoid(1.5 * quality - 1.5)
    return {
        "quality": quality[leads],
        "converted": will[leads].astype(float),
        "leads": leads,
        "accounts": account[leads],
        "times": times,
        "rng": rng,
    }


def compared(world, score_a, score_b, **more):
    """Compare at 12 hand-offs a week, with fewer resamples than the report takes."""
    settings = {"per_time": PER_TIME, "n_resamples": 400} | more
    named = {key: world[key] for key in ("converted", "leads", "accounts", "times")}
    return compare_paired("model", score_a, "rules", score_b, **(named | settings))


def noise(world):
    """One random score per lead, the same at every as-of time."""
    return world["rng"].normal(size=N_LEADS)[world["leads"]]


# By hand.


def test_the_difference_is_conversions_of_a_less_those_of_b():
    found = compare_paired(
        "model",
        np.array([4.0, 3.0, 2.0, 1.0]),
        "rules",
        np.array([1.0, 2.0, 3.0, 4.0]),
        converted=np.array([1.0, 1.0, 1.0, 0.0]),
        leads=np.arange(4),
        accounts=np.arange(4),
        times=np.zeros(4, np.int64),
        per_time=2,
    )
    assert (found.a, found.b) == ("model", "rules")
    assert found.handoffs == 2
    assert (found.conversions_a, found.conversions_b, found.difference) == (2, 1, 1)
    assert found.n_accounts == 4
    assert found.ci95[0] <= found.difference <= found.ci95[1]
    assert found.verdict == "no difference"


def test_the_comparison_as_json_has_the_keys_of_the_report():
    world = small_world(0)
    found = compared(world, world["quality"], noise(world)).to_json()
    assert list(found) == [
        "a", "b", "handoffs", "conversions_a", "conversions_b", "difference", "ci95", "verdict",
        "n_accounts",
    ]  # fmt: skip
    assert isinstance(found["ci95"], list)


# Properties.


def test_identical_scores_differ_by_nothing():
    world = small_world(1)
    found = compared(world, world["quality"], world["quality"])
    assert found.difference == 0
    assert found.ci95 == (0.0, 0.0)
    assert found.verdict == "no difference"


def test_scores_that_rank_alike_differ_by_nothing():
    world = small_world(1)
    found = compared(world, world["quality"], np.exp(world["quality"]))
    assert found.difference == 0
    assert found.verdict == "no difference"


@pytest.mark.parametrize("seed", range(4))
def test_swapping_the_contenders_flips_the_sign_and_the_interval(seed):
    world = small_world(seed)
    a, b = world["quality"] + noise(world), noise(world)
    one, other = compared(world, a, b), compared(world, b, a)
    assert other.difference == -one.difference
    assert (other.conversions_a, other.conversions_b) == (one.conversions_b, one.conversions_a)
    assert other.handoffs == one.handoffs
    assert other.ci95 == pytest.approx((-one.ci95[1], -one.ci95[0]))
    flipped = {"model wins": "rules win", "rules win": "model wins"}
    assert other.verdict == flipped.get(one.verdict, one.verdict)


def test_the_order_of_rows_changes_neither_conversions_nor_verdict():
    world = small_world(2)
    a, b = world["quality"] + noise(world), noise(world)
    order = np.random.default_rng(0).permutation(len(a))
    shuffled = {key: value[order] for key, value in world.items() if key != "rng"}
    one, other = compared(world, a, b), compared(shuffled, a[order], b[order])
    assert other.difference == pytest.approx(one.difference)
    assert other.ci95 == pytest.approx(one.ci95)
    assert other.verdict == one.verdict


def test_the_same_seed_gives_the_same_interval():
    world = small_world(3)
    a, b = world["quality"], noise(world)
    assert compared(world, a, b, seed=1) == compared(world, a, b, seed=1)
    assert compared(world, a, b, seed=1).ci95 != compared(world, a, b, seed=2).ci95


def test_both_contenders_hand_over_the_same_number_of_leads():
    world = small_world(4)
    found = compared(world, world["quality"], np.zeros(len(world["leads"])))
    assert found.handoffs == pytest.approx(PER_TIME * N_TIMES)


def width(found):
    return found.ci95[1] - found.ci95[0]


@pytest.mark.parametrize("seed", range(3))
def test_leads_of_one_account_are_not_independent_evidence(seed):
    world = small_world(seed, per_account=20)
    account_noise = [world["rng"].normal(size=20)[world["accounts"]] for _ in "ab"]
    a, b = (account + 0.1 * noise(world) for account in account_noise)
    by_account = compared(world, a, b)
    by_lead = compared(world | {"accounts": world["leads"]}, a, b)
    assert by_account.difference == pytest.approx(by_lead.difference)
    assert (by_account.n_accounts, by_lead.n_accounts) == (20, N_LEADS)
    assert width(by_account) > 1.2 * width(by_lead)


@pytest.mark.parametrize("seed", range(3))
def test_one_account_alone_decides_nothing(seed):
    """Resampling one account gives the same sum every time: that is no evidence of a win."""
    world = small_world(seed)
    a, b = world["quality"], noise(world)
    alone = compared(world | {"accounts": np.zeros_like(world["accounts"])}, a, b)
    assert alone.n_accounts == 1
    assert alone.difference == pytest.approx(compared(world, a, b).difference)
    assert width(alone) > width(compared(world, a, b))
    assert alone.ci95[0] <= 0 <= alone.ci95[1]
    assert alone.verdict == "no difference"


@pytest.mark.parametrize(
    ("n_differ", "verdict"),
    [(1, "no difference"), (5, "no difference"), (6, "model wins"), (30, "model wins")],
)
def test_fewer_than_six_accounts_that_differ_decide_nothing(n_differ, verdict):
    n = 400
    converted = (np.arange(n) < n_differ).astype(float)
    found = compare_paired(
        "model",
        np.arange(n, 0, -1.0),
        "rules",
        np.arange(n) * 1.0,
        converted=converted,
        leads=np.arange(n),
        accounts=np.arange(n),
        times=np.zeros(n, np.int64),
        per_time=n_differ,
    )
    assert found.difference == n_differ
    assert found.ci95[0] <= found.difference <= found.ci95[1]
    assert found.verdict == verdict


def test_a_constant_score_shares_its_seats_over_all_ties():
    world = small_world(6)
    found = compared(world, np.zeros(len(world["leads"])), np.zeros(len(world["leads"])))
    assert found.difference == 0
    expected = world["converted"][:N_LEADS].mean() * found.handoffs
    assert found.conversions_a == pytest.approx(expected)


# Simulation.


def test_equal_contenders_seldom_seem_to_differ():
    verdicts = []
    for seed in range(400):
        world = small_world(seed)
        verdicts.append(compared(world, noise(world), noise(world)).verdict)
    assert verdicts.count("no difference") >= 0.93 * len(verdicts)


def test_equally_good_contenders_seldom_seem_to_differ():
    verdicts = []
    for seed in range(400):
        world = small_world(seed)
        a, b = (world["quality"] + noise(world) for _ in "ab")
        verdicts.append(compared(world, a, b).verdict)
    assert verdicts.count("no difference") >= 0.93 * len(verdicts)


@pytest.mark.parametrize("is_swapped", [False, True])
def test_a_strong_difference_is_seen(is_swapped):
    verdicts = []
    for seed in range(60):
        world = small_world(seed)
        a, b = world["quality"], noise(world)
        verdicts.append(compared(world, *((b, a) if is_swapped else (a, b))).verdict)
    assert verdicts.count("rules win" if is_swapped else "model wins") >= 0.9 * len(verdicts)
