"""P(any lead of the account converts): the formula, its fit, a bundle's part, the table."""

import json
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.account_scores import of_accounts, score_accounts
from intentcast.account_view import (
    AccountView,
    account_evidence,
    account_probabilities,
    fit_account_view,
)
from intentcast.contracts import AccountScores
from intentcast.errors import BundleError
from intentcast.scoring import score
from intentcast.snapshots import known_dataset
from tests.fixtures_world import (
    AS_OF,
    HORIZONS,
    bundle,
    trained,
    world,
    world_snapshots,
)


def view(own_share):
    return AccountView(own_share, n_accounts=0, n_snapshots=0, n_converted=0)


def together(p, own_share):
    """P of one account; `p` has one row per lead."""
    found = account_probabilities(np.array(p), np.zeros(len(p), dtype=np.int64), view(own_share))
    return found[0]


# The formula.


def test_two_leads_by_hand():
    # Hazards: -log(0.5) = 0.6931, -log(0.8) = 0.2231. 0.6931 + 0.25 * 0.2231 = 0.7489.
    assert together([[0.2], [0.5]], 0.25)[0] == pytest.approx(1 - math.exp(-0.748933), abs=1e-6)
    # The same, as what is left of a half: 1 - 0.5 * 0.8 ** 0.25.
    assert together([[0.2], [0.5]], 0.25)[0] == pytest.approx(1 - 0.5 * 0.8**0.25, abs=1e-12)


def test_no_own_share_is_the_likeliest_lead_and_a_whole_one_is_independence():
    p = [[0.1], [0.3], [0.2]]
    assert together(p, 0.0)[0] == 0.3
    assert together(p, 1.0)[0] == pytest.approx(1 - 0.9 * 0.7 * 0.8, abs=1e-12)


chances = st.floats(1e-6, 1 - 1e-6)
shares = st.floats(0, 1)


@st.composite
def leads(draw, *, least=1):
    """Probabilities of one account's leads at two horizons, rising."""
    pairs = draw(st.lists(st.tuples(chances, chances), min_size=least, max_size=8))
    return np.sort(np.array(pairs), axis=1)


@given(p=leads(), own_share=shares)
def test_it_is_between_the_likeliest_lead_and_independence(p, own_share):
    found = together(p, own_share)
    assert (found >= p.max(axis=0)).all()
    independent = -np.expm1(np.log1p(-p).sum(axis=0))
    assert (found <= np.maximum(independent + 1e-12, p.max(axis=0))).all()
    assert ((found > 0) & (found < 1)).all()


@given(p=leads(), own_share=shares)
def test_it_never_falls_with_the_horizon(p, own_share):
    short, long = together(p, own_share)
    assert short <= long


@given(p=leads(), own_share=shares, which=st.integers(0, 7), to=chances)
def test_it_never_falls_when_a_lead_becomes_likelier(p, own_share, which, to):
    risen = p.copy()
    row = risen[which % len(p)]
    row[:] = np.maximum(row, to)
    assert (together(risen, own_share) >= together(p, own_share) - 1e-12).all()


@given(p=leads(), own_share=shares, more=st.tuples(chances, chances))
def test_it_never_falls_when_a_lead_joins(p, own_share, more):
    joined = np.vstack([p, sorted(more)])
    assert (together(joined, own_share) >= together(p, own_share) - 1e-12).all()


@given(p=chances, own_share=shares)
def test_an_account_of_one_lead_has_its_probability_to_the_bit(p, own_share):
    assert together([[p]], own_share)[0] == p


@given(p=leads(least=2), own_share=shares, random=st.randoms(use_true_random=False))
def test_the_order_of_leads_and_who_else_is_in_the_batch_change_no_bit(p, own_share, random):
    order = random.sample(range(len(p)), len(p))
    assert (together(p[order], own_share) == together(p, own_share)).all()
    others = np.array([[0.3, 0.4], [0.01, 0.9]])
    batch = account_probabilities(
        np.vstack([others[:1], p[order], others[1:]]),
        np.array([1, *[0] * len(p), 1]),
        view(own_share),
    )
    assert (batch[0] == together(p, own_share)).all()


# The fit.


def drawn(own_share, *, n_accounts, seed=5, n_leads=3):
    """Return evidence of accounts whose leads share a shock, and have ones of their own.

    Equal hazards λ: the shared shock strikes at rate (1 - w) λ and each own one at w λ, so that
    each lead converts with 1 - exp(-λ), and any of k with 1 - exp(-(λ + w (k - 1) λ)).
    """
    rng = np.random.default_rng(seed)
    hazard = rng.gamma(1.0, 0.15, n_accounts)
    shared = rng.exponential(size=n_accounts) < (1 - own_share) * hazard
    own = rng.exponential(size=(n_leads, n_accounts)) < own_share * hazard
    converted = (shared | own).astype(float)
    accounts = np.tile(np.arange(n_accounts), n_leads)
    p = np.tile(-np.expm1(-hazard), n_leads)
    return account_evidence(p, converted.ravel(), accounts, np.zeros(len(p), dtype=np.int64))


@pytest.mark.parametrize("own_share", [0.0, 0.2, 0.5, 0.9])
def test_the_own_share_is_recovered(own_share):
    found = fit_account_view({90: drawn(own_share, n_accounts=20_000)}, primary=90)
    assert found.own_share == pytest.approx(own_share, abs=0.04)
    assert (found.n_accounts, found.n_snapshots) == (20_000, 20_000)


def test_the_fitted_view_is_calibrated_where_both_extremes_are_not():
    known, coming = (drawn(0.4, n_accounts=20_000, seed=seed) for seed in (1, 2))
    fitted = fit_account_view({90: known}, primary=90)
    came = coming.converted.mean()
    assert coming.seen.probabilities(fitted.own_share).mean() == pytest.approx(came, rel=0.03)
    assert coming.seen.probabilities(0.0).mean() < 0.75 * came
    assert coming.seen.probabilities(1.0).mean() > 1.2 * came


def test_it_is_the_smallest_share_within_one_standard_error_of_the_likeliest():
    part = drawn(0.6, n_accounts=400)
    found = fit_account_view({90: part}, primary=90).own_share
    grid = np.linspace(0, 1, 2001)
    p = np.array([part.seen.probabilities(share) for share in grid])
    y = part.converted
    likelihood = (y * np.log(p) + (1 - y) * np.log1p(-p)).sum(axis=1)
    assert likelihood.max() - likelihood[0] > 2
    assert found == pytest.approx(grid[likelihood >= likelihood.max() - 0.5].min(), abs=0.001)


def test_a_little_evidence_for_an_own_share_is_not_enough():
    """One of three accounts converted, and the likeliest share is well above 0."""
    part = account_evidence(
        np.full(6, 0.2), np.array([1.0, 0, 0, 0, 0, 0]), np.repeat([1, 2, 3], 2), np.zeros(6, int)
    )
    assert fit_account_view({90: part}, primary=90).own_share == 0.0


def test_where_nothing_speaks_for_more_there_is_no_own_share():
    alone = account_evidence(
        np.array([0.2, 0.3]), np.array([1.0, 0.0]), np.array([4, 9]), np.array([0, 0])
    )
    found = fit_account_view({90: alone}, primary=90)
    assert found == AccountView(0.0, n_accounts=0, n_snapshots=0, n_converted=0)
    none = drawn(0.5, n_accounts=50)
    none = replace(none, converted=np.zeros(50))
    assert fit_account_view({90: none}, primary=90).own_share == 0.0


def test_an_account_seen_every_week_counts_once():
    once = drawn(0.3, n_accounts=200)
    p = np.repeat([0.1, 0.2, 0.4], 2)
    weeks = account_evidence(
        np.tile(p, 8),
        np.zeros(48),
        np.tile(np.repeat([1, 2, 3], 2), 8),
        np.repeat(np.arange(8), 6),
    )
    assert (weeks.n_accounts, len(weeks.converted)) == (3, 24)
    repeated = replace(
        once,
        seen=replace(
            once.seen,
            top=np.tile(once.seen.top, 9),
            others=np.tile(once.seen.others, 9),
        ),
        converted=np.tile(once.converted, 9),
    )
    one, nine = (fit_account_view({90: part}, primary=90).own_share for part in (once, repeated))
    assert nine == pytest.approx(one, abs=1e-9)


def test_any_lead_of_the_account_at_that_time_counts():
    found = account_evidence(
        np.array([0.1, 0.2, 0.3, 0.4]),
        np.array([0.0, 1.0, 0.0, 0.0]),
        np.array([7, 7, 7, 7]),
        np.array([10, 10, 20, 20]),
    )
    assert found.converted.tolist() == [1.0, 0.0]
    assert found.seen.probabilities(0.0).tolist() == pytest.approx([0.2, 0.4])
    assert found.n_accounts == 1


def test_many_accounts_at_real_times_are_told_apart():
    n = 20_000
    accounts = np.repeat(np.arange(n, dtype=np.int64) * 214_748, 2)
    times = np.full(2 * n, 1_760_000_000_000_000, dtype=np.int64)
    found = account_evidence(np.full(2 * n, 0.1), np.zeros(2 * n), accounts, times)
    assert (found.n_accounts, len(found.converted)) == (n, n)
    assert set(found.seen.n_leads.tolist()) == {2}


# In a bundle.


def test_a_model_has_learnt_it_from_what_it_had_not_seen():
    learnt = trained().accounts
    assert 0 <= learnt.own_share <= 1
    assert learnt.n_snapshots > learnt.n_accounts > 30
    assert 0 < learnt.n_converted < learnt.n_snapshots
    assert bundle("logistic").accounts == learnt


def test_a_bundle_from_before_it_still_loads_and_says_what_it_lacks():
    old = replace(bundle("logistic"), accounts=None)
    assert len(score(old, world(), world_snapshots())) > 0
    with pytest.raises(BundleError, match="says nothing of accounts"):
        score_accounts(old, world(), of_accounts(world_snapshots()))


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(ValueError, match="own_share"):
        AccountView.from_json(view(0.5).to_json() | {"own_share": share})


def test_it_is_stored_as_json_and_back():
    learnt = trained().accounts
    assert AccountView.from_json(json.loads(json.dumps(learnt.to_json()))) == learnt


# The table.


def scored(snapshots=None, dataset=None):
    chosen = of_accounts(world_snapshots() if snapshots is None else snapshots)
    return score_accounts(bundle("logistic"), dataset or world(), chosen)


def test_there_is_one_row_per_account_and_horizon_from_the_leads_scores():
    found = scored()
    assert found.columns == AccountScores.column_names()
    of_leads = score(bundle("logistic"), world(), world_snapshots()).join(
        world_snapshots(), on="lead_id"
    )
    for days in HORIZONS:
        leads_then = of_leads.filter(pl.col("horizon_days") == days)
        rows = found.filter(pl.col("horizon_days") == days)
        by_hand = (
            leads_then.filter(~pl.col("account_id").str.starts_with("lead:"))
            .sort("account_id", "probability", "lead_id", descending=[False, True, False])
            .group_by("account_id", maintain_order=True)
            .agg(pl.len(), pl.first("lead_id"), pl.first("probability"))
        )
        assert rows["account_id"].to_list() == by_hand["account_id"].to_list()
        assert rows["n_leads"].to_list() == by_hand["len"].to_list()
        assert rows["top_lead_id"].to_list() == by_hand["lead_id"].to_list()
        assert rows["top_probability"].to_list() == by_hand["probability"].to_list()
        assert (rows["probability"] >= rows["top_probability"]).all()
        alone = rows.filter(pl.col("n_leads") == 1)
        assert alone["probability"].to_list() == alone["top_probability"].to_list()
    assert (found["n_leads"] > 1).any()


def test_the_order_of_snapshots_changes_no_bit_of_an_account():
    shuffled = world_snapshots().sample(fraction=1.0, shuffle=True, seed=4)
    assert scored(shuffled).equals(scored())


def test_what_was_recorded_at_or_after_the_as_of_time_changes_nothing():
    assert len(known_dataset(world(), AS_OF).events) < len(world().events)
    assert scored(dataset=known_dataset(world(), AS_OF)).equals(scored())


def test_leads_that_name_no_account_are_left_out():
    named = of_accounts(world_snapshots())
    assert 0 < len(named) < len(world_snapshots())
    assert not scored()["account_id"].str.starts_with("lead:").any()


def test_no_account_is_an_empty_table():
    assert scored(world_snapshots().head(0)).is_empty()
