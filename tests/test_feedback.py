"""What sales accepted and sent back: decisions, rates, reasons, and what they suggest."""

import tracemalloc
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.cli.feedback import hits_of, judge
from intentcast.errors import RefusedError
from intentcast.evaluation.metrics import wilson
from intentcast.feedback import (
    accepted_rate,
    associate,
    decisions,
    dominating_themes,
    feedback_lines,
    rule_hits,
    survey_feedback,
)
from intentcast.feedback.suggestions import ANY_REASON, threshold_cuts
from intentcast.scorecards import ledger
from tests.conftest import at, outcome
from tests.fixtures_world import bundle, world

LEARNT = datetime(2025, 3, 1, tzinfo=UTC)
SPAN = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 7, 2, tzinfo=UTC))


@pytest.fixture(scope="module")
def judged():
    return judge(bundle("logistic"), world(), decisions(world()), tiers=bundle("logistic").tiers)


@pytest.fixture(scope="module")
def found(judged):
    return survey_feedback(
        judged,
        hits_of(bundle("logistic"), world(), judged),
        tiers=bundle("logistic").tiers,
        span=SPAN,
        learnt_before=LEARNT,
    )


def test_a_decision_is_a_snapshot_at_the_instant_it_became_known(make_dataset):
    dataset = make_dataset(
        outcomes=[
            outcome("L1", "2024-03-01", "opportunity_created", recorded_at="2024-03-04"),
            outcome("L2", "2024-03-02", "mql_rejected", reason="too early", recorded_at=None),
            outcome("L3", "2024-03-02", "mql_rejected", reason=None, recorded_at=None),
            outcome("L3", "2024-03-09", "won", reason=None, recorded_at=None),
        ]
    )
    found = decisions(dataset)
    assert found.drop("account_id").rows() == [
        ("L1", at("2024-03-04"), False, None),
        ("L2", at("2024-03-02"), True, "too early"),
        ("L3", at("2024-03-02"), True, "no reason given"),
    ]


def test_since_is_included_and_until_is_not(make_dataset):
    days = ("2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04")
    names = ("opportunity_created", "mql_rejected") * 2
    dataset = make_dataset(
        outcomes=[outcome("L1", day, name) for day, name in zip(days, names, strict=True)]
    )
    found = decisions(dataset, since=at("2024-03-02"), until=at("2024-03-04"))
    assert found["as_of"].to_list() == [at("2024-03-02"), at("2024-03-03")]


def test_a_lead_both_accepted_and_sent_back_at_one_instant_is_left_out(make_dataset):
    dataset = make_dataset(
        outcomes=[
            outcome("L1", "2024-03-01", "opportunity_created"),
            outcome("L1", "2024-03-01", "mql_rejected"),
            outcome("L2", "2024-03-01", "opportunity_created"),
            outcome("L3", "2024-03-01", "mql_rejected"),
        ]
    )
    assert decisions(dataset)["lead_id"].to_list() == ["L2", "L3"]


def test_a_team_names_its_own_outcomes(make_dataset):
    dataset = make_dataset(
        outcomes=[outcome("L1", "2024-03-01", "SAL"), outcome("L2", "2024-03-01", "recycled")],
        settings={"sales": {"accepted": ["SAL"], "rejected": ["recycled"]}},
    )
    assert decisions(dataset)["is_rejected"].to_list() == [False, True]


def test_data_without_sales_decisions_are_refused_with_what_to_configure(make_dataset):
    dataset = make_dataset(outcomes=[outcome("L1", "2024-03-01", "won")])
    with pytest.raises(
        RefusedError,
        match=r"0 acceptances \(opportunity_created\) and 0 rejections \(mql_rejected\) among the "
        r"outcomes won \(1\)\..*\[sales\] accepted and rejected in dataset.toml",
    ):
        decisions(dataset)


def test_only_one_kind_of_decision_is_refused_as_well(make_dataset):
    dataset = make_dataset(
        outcomes=[
            outcome("L1", "2024-03-01", "mql_rejected"),
            outcome("L1", "2024-01-01", "opportunity_created"),
        ]
    )
    with pytest.raises(RefusedError, match=r"0 acceptances .* and 1 rejections .* from 2024-02-01"):
        decisions(dataset, since=at("2024-02-01"))


def test_leads_of_different_accounts_give_wilsons_interval():
    rejected = np.array([True] * 3 + [False] * 17)
    rate = accepted_rate("hot", rejected, np.arange(20))
    # Every account decides once: the clustered variance is n/(n − 1) times the binomial one.
    effective = 20 / (20 / 19)
    assert (rate.low, rate.high) == pytest.approx(wilson(0.85 * effective, effective))
    assert (rate.n_decided, rate.n_accepted, rate.n_accounts) == (20, 17, 20)


@given(st.integers(2, 6), st.lists(st.booleans(), min_size=4, max_size=30))
def test_deciding_on_a_whole_committee_at_once_says_no_more_than_on_one(times, rejected):
    one = np.array(rejected)
    alone = accepted_rate("", one, np.arange(len(one)))
    together = accepted_rate("", np.repeat(one, times), np.repeat(np.arange(len(one)), times))
    assert together.low == pytest.approx(alone.low)
    assert together.high == pytest.approx(alone.high)
    assert together.n_decided == times * alone.n_decided


def test_a_group_without_decisions_has_no_rate():
    rate = accepted_rate("hot", np.empty(0, dtype=bool), np.empty(0, dtype=np.int64))
    assert (rate.n_decided, rate.accepted, rate.low) == (0, None, None)


def decided(rng, n_accounts=120, *, of_account=3):
    """Leads of accounts that sales decides on as a whole."""
    accounts = np.repeat(np.arange(n_accounts), of_account)
    rejected = np.repeat(rng.random(n_accounts) < 0.4, of_account)
    return accounts, rejected


def test_where_nothing_goes_with_rejection_a_finding_is_rare_even_within_accounts():
    """Marks are shared within accounts, as decisions are; twenty marks and three reasons."""
    n_runs, n_false = 120, 0
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        accounts, rejected = decided(rng)
        of_account = rng.random((accounts.max() + 1, 20)) < rng.uniform(0.05, 0.6, 20)
        marks = {("rule", f"r{i}"): of_account[accounts, i] for i in range(20)}
        kind = rng.integers(0, 2, accounts.max() + 1)[accounts]
        reasons = {
            ANY_REASON: rejected,
            "too early": rejected & (kind == 0),
            "no budget": rejected & (kind == 1),
        }
        rows = associate(marks, reasons, ~rejected, accounts, n_permutations=199)
        n_false += any(row.p_adjusted is not None and row.p_adjusted < 0.05 for row in rows)
    # At most 5 % is promised; two and a half standard errors of 120 runs are 5 points.
    assert n_false / n_runs <= 0.10


def test_a_mark_of_one_reason_is_found_with_its_lift():
    rng = np.random.default_rng(4)
    accounts, rejected = decided(rng, 400, of_account=1)
    early = rejected & (rng.random(400) < 0.5)
    has = np.where(early, rng.random(400) < 0.8, rng.random(400) < 0.2)
    marks = {("rule", "whitepaper"): has, ("rule", "noise"): rng.random(400) < 0.5}
    reasons = {"too early": early, "no budget": rejected & ~early}
    first, *others = associate(marks, reasons, ~rejected, accounts)
    assert (first.mark, first.reason) == ("whitepaper", "too early")
    assert first.p_adjusted == first.p == pytest.approx(1 / 2000)
    assert first.lift == pytest.approx(4, rel=0.4)
    assert all(row.p_adjusted > 0.05 for row in others)


def test_where_every_lead_is_of_one_account_nothing_is_certain():
    rejected = np.array([True] * 30 + [False] * 30)
    marks = {("rule", "same"): rejected}
    [row] = associate(marks, {ANY_REASON: rejected}, ~rejected, np.zeros(60, dtype=np.int64))
    assert (row.p, row.p_adjusted) == (1, 1)


def test_a_single_tests_p_value_is_that_of_the_exact_test():
    stats = pytest.importorskip("scipy.stats")
    rejected = np.array([True] * 20 + [False] * 20)
    has = np.array([True] * 12 + [False] * 8 + [True] * 5 + [False] * 15)
    [row] = associate(
        {("rule", "one"): has}, {ANY_REASON: rejected}, ~rejected, np.arange(40),
        n_permutations=9999,
    )  # fmt: skip
    exact = stats.fisher_exact([[12, 8], [5, 15]]).pvalue
    assert row.p == row.p_adjusted == pytest.approx(exact, abs=0.01)


def test_a_mark_that_fewer_than_five_leads_have_is_not_tested():
    rejected = np.array([True] * 30 + [False] * 30)
    has = np.array([True] * 4 + [False] * 56)
    [row] = associate({("rule", "rare"): has}, {ANY_REASON: rejected}, ~rejected, np.arange(60))
    assert (row.p, row.p_adjusted, row.lift) == (None, None, None)
    assert (row.n_marked, row.n_accepted_marked) == (4, 0)


@pytest.mark.parametrize(("times", "n_own"), [(1, 80), (5, 20)])
def test_reasons_given_once_or_a_few_times_do_not_hide_what_is_certain(times, n_own):
    """As free text is: one lead with a rare mark would be far off, in standard deviations."""
    rng = np.random.default_rng(0)
    rejected = rng.random(400) < 0.5
    marks = {("rule", f"r{i}"): rng.random(400) < 0.06 for i in range(12)}
    marks["rule", "demo"] = np.where(rejected, rng.random(400) < 0.2, rng.random(400) < 0.05)
    sent = np.flatnonzero(rejected)[: times * n_own].reshape(n_own, times)
    own = {f"text {i}": np.isin(np.arange(400), some) for i, some in enumerate(sent)}
    rows = associate(
        marks, {ANY_REASON: rejected, **own}, ~rejected, np.arange(400), n_permutations=299
    )
    assert (rows[0].mark, rows[0].reason) == ("demo", ANY_REASON)
    assert rows[0].p_adjusted < 0.01
    rare = [row for row in rows if row.reason != ANY_REASON and row.mark != "demo"]
    assert len(rare) == 12 * n_own
    assert all(row.p is None for row in rare)


def test_what_is_tested_does_not_depend_on_who_was_rejected():
    """Else those that look telling would be tested, and p-values too small."""
    rng = np.random.default_rng(3)
    has = {("rule", f"every {i}"): np.arange(80) % i == 0 for i in (2, 12, 17)}
    first = np.arange(80) < 12
    tested = {
        tuple(
            sorted(
                (row.mark, row.reason)
                for row in associate(
                    has,
                    {"early": first[order], "late": (np.arange(80) > 60)[order]},
                    ((np.arange(80) >= 12) & (np.arange(80) <= 60))[order],
                    np.arange(80),
                    n_permutations=9,
                )
                if row.p is not None
            )
        )
        for order in (rng.permutation(80) for _ in range(20))
    }
    assert len(tested) == 1


def test_the_memory_of_a_test_does_not_grow_with_the_permutations():
    rng = np.random.default_rng(1)
    rejected = np.arange(200) < 100
    marks = {("rule", f"r{i}"): rng.random(200) < 0.5 for i in range(100)}
    reasons = {f"reason {i}": rejected & (np.arange(200) % 5 == i) for i in range(5)}

    def peak(n_permutations):
        tracemalloc.start()
        associate(marks, reasons, ~rejected, np.arange(200), n_permutations=n_permutations)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    # 500 tests of 8 bytes, 290 times, are 1.2 MB.
    assert peak(300) < peak(10) + 200_000


def hot_leads(rejected_below, rejected_above, *, n=400, seed=2):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.10, 0.50, n)
    rejected = rng.random(n) < np.where(p < 0.26, rejected_below, rejected_above)
    return pl.DataFrame(
        {
            "probability": p,
            "is_rejected": rejected,
            "reason": ["too early" if is_rejected else None for is_rejected in rejected],
            "account": np.arange(n),
            "converted": [None if i % 4 == 0 else bool(i % 3 == 0) for i in range(n)],
        },
        schema_overrides={"reason": pl.String},
    )


def test_a_higher_threshold_is_suggested_where_what_it_drops_is_sent_back():
    rows = hot_leads(0.7, 0.1)
    cuts = threshold_cuts(rows, hot=0.10, n_weeks=20)
    [cut] = [cut for cut in cuts if cut.suggested]
    assert cut.hot == min((c.hot for c in cuts), key=lambda hot: abs(hot - 0.26))
    dropped = rows.filter(pl.col("probability") < cut.hot)
    assert cut.below.n_decided == len(dropped) == 400 - cut.above.n_decided
    assert cut.per_week == len(dropped) / 20
    assert (cut.main_reason, cut.n_main_reason) == ("too early", cut.below.n_rejected)
    assert cut.n_matured == dropped["converted"].drop_nulls().len()
    assert cut.n_converted == dropped["converted"].sum()


def test_none_is_suggested_where_rejection_has_nothing_to_do_with_it():
    assert not any(cut.suggested for cut in threshold_cuts(hot_leads(0.3, 0.3), hot=0.1, n_weeks=1))


def test_none_is_suggested_where_the_likelier_leads_are_sent_back():
    cuts = threshold_cuts(hot_leads(0.1, 0.7), hot=0.1, n_weeks=1)
    assert min(cut.p_adjusted for cut in cuts) < 0.01
    assert not any(cut.suggested for cut in cuts)


def test_few_hot_leads_give_no_threshold():
    assert threshold_cuts(hot_leads(0.7, 0.1, n=39), hot=0.1, n_weeks=1) == []


def test_the_rules_that_a_lead_had_met_are_those_of_its_ledger(judged):
    card, some = bundle("logistic").scorecard, judged.gather_every(17)
    hits = rule_hits(card, world(), some)
    for row, (lead, as_of) in enumerate(some.select("lead_id", "as_of").iter_rows()):
        lines = ledger(card, world(), lead, as_of).lines
        rules = {line.item for line in lines if line.kind in ("attribute", "behaviour")}
        assert set(hits.filter(pl.col("row") == row)["item"]) == rules


def test_the_dominating_theme_has_the_most_recent_attention():
    names = ["pricing", "roi", "other"]
    spec = SimpleNamespace(
        themes=("Pricing", "ROI"),
        theme_names=tuple(names),
        half_lives_days=(3.0, 14.0),
        names=[f"theme.recency_weighted.{n}.{h}d_halflife" for n in names for h in (3, 14)],
    )
    features = np.array(
        [[9, 1, 0, 2, 0, 0], [0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 3], [0, 2, 0, 2, 0, 1]],
        dtype=float,
    )
    assert dominating_themes(spec, features) == ["ROI", "no theme", "other", "Pricing"]


def test_every_count_of_the_survey_adds_up(found, judged):
    overall = found["overall"]
    assert overall["n_decided"] == len(judged) > 100
    for key in ("tiers", "stages"):
        for count in ("n_decided", "n_accepted", "n_rejected"):
            assert sum(row[count] for row in found[key]) == overall[count]
    assert sum(row["n_rejected"] for row in found["reasons"]) == overall["n_rejected"]
    assert sum(row["share"] for row in found["reasons"]) == pytest.approx(1)
    themes = [
        r for r in found["associations"] if r["kind"] == "theme" and r["reason"] == ANY_REASON
    ]
    assert sum(row["n_marked"] for row in themes) == overall["n_rejected"]
    assert sum(row["n_accepted_marked"] for row in themes) == overall["n_accepted"]
    assert found["n_perhaps_learnt_from"] == (judged["as_of"] < LEARNT).sum()
    assert {row["kind"] for row in found["associations"]} == {"rule", "theme"}


def test_the_survey_does_not_depend_on_the_order_of_rows(found, judged):
    shuffled = judged.sample(fraction=1.0, shuffle=True, seed=1)
    again = survey_feedback(
        shuffled,
        hits_of(bundle("logistic"), world(), shuffled),
        tiers=bundle("logistic").tiers,
        span=SPAN,
        learnt_before=LEARNT,
    )
    assert again == found


def test_what_is_said_fits_80_columns_and_says_who_is_not_here(found):
    lines = feedback_lines(found)
    assert max(map(len, lines)) <= 80
    said = " ".join(lines)
    assert "Only leads that were handed over are decided on" in said
    assert "nothing is applied" in said


def test_reasons_in_free_text_are_one_bounded_line_each_and_the_rare_ones_are_counted_together(
    judged,
):
    n = judged["is_rejected"].sum()
    texts = iter([f"call {i}:\n\x1b[31m{'no ' * 200}" for i in range(n - 4)] + ["later\n"] * 4)
    typed = judged.with_columns(
        pl.Series("reason", [next(texts) if sent else None for sent in judged["is_rejected"]])
    )
    found = survey_feedback(
        typed,
        pl.DataFrame(schema={"row": pl.UInt32, "item": pl.String}),
        tiers=bundle("logistic").tiers,
        span=SPAN,
        learnt_before=LEARNT,
    )
    names = [row["reason"] for row in found["reasons"]]
    assert found["n_reasons"] == n - 3
    assert len(names) == 21
    assert names[:2] == ["other reasons", "later"]
    assert sum(row["n_rejected"] for row in found["reasons"]) == n
    assert all(name.isprintable() and len(name) <= 80 for name in names)
    lines = feedback_lines(found)
    assert max(map(len, lines)) <= 80
    assert all(line.isprintable() for line in lines)


def test_a_suggested_threshold_is_said_with_what_it_would_cost(found):
    from dataclasses import asdict

    cuts = [asdict(cut) for cut in threshold_cuts(hot_leads(0.7, 0.1), hot=0.1, n_weeks=20)]
    lines = feedback_lines({**found, "hot": 0.1, "thresholds": cuts})
    said = " ".join(" ".join(lines).split())
    [cut] = [cut for cut in cuts if cut["suggested"]]
    assert f"would have dropped {cut['per_week']:.1f} decided hand-offs a week" in said
    assert f"{cut['n_converted']} converted" in said
    assert max(map(len, lines)) <= 80
