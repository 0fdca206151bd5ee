import os
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from intentcast.errors import InputError
from intentcast.simulation import World, simulate, write_world
from intentcast.simulation.accounts import draw_accounts
from intentcast.simulation.acquisition import NEVER, closing_second
from intentcast.simulation.block import Block, live_block
from intentcast.simulation.buying import (
    N_STATES,
    STALLED,
    State,
    sample_paths,
    transition_matrices,
    win_probability,
)
from intentcast.simulation.clock import DAY, END, N_DAYS, START
from intentcast.simulation.events import CHANNELS, EVENT_TYPES
from intentcast.simulation.folder import TABLES
from intentcast.simulation.people import PROMOTIONS, TITLES

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
OUTSIDE_TITLES = (
    "Student",
    "Research Assistant",
    "Product Manager",
    "Product Marketing Manager",
    "Market Analyst",
)


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(n_leads=4000, seed=7)


@pytest.fixture(scope="module")
def wide_world() -> World:
    return simulate(n_leads=12_000, seed=11)


@pytest.fixture(scope="module")
def block() -> Block:
    return live_block(3, 0, max_leads=10_000)


@cache
def matrices(n_accounts: int, *, seed: int) -> np.ndarray:
    accounts = draw_accounts(n_accounts, np.random.default_rng(seed))
    return transition_matrices(accounts.pace, accounts.fit, is_outsider=accounts.is_outsider)


def known_events(world: World) -> pl.DataFrame:
    return world.events.unique("event_id", maintain_order=True)


def with_outcome(world: World, *, horizon_days: int) -> pl.DataFrame:
    """Matured truth rows beside what happened; `account` groups rows that depend on each other."""
    horizon = timedelta(days=horizon_days)
    won = world.outcomes.filter(outcome="closed_won").select("lead_id", won_at="occurred_at")
    happened = (pl.col("won_at") < pl.col("as_of") + horizon).fill_null(value=False)
    return (
        world.truth.filter(pl.col("horizon_days") == horizon_days, pl.col("as_of") + horizon <= END)
        .join(won, on="lead_id", how="left", maintain_order="left")
        .join(world.leads.select("lead_id", "account_id"), on="lead_id", maintain_order="left")
        .with_columns(
            converted=happened.cast(pl.Float64), account=pl.coalesce("account_id", "lead_id")
        )
    )


def clustered_z(rows: pl.DataFrame) -> float:
    """Sum of (converted - p_true) in standard errors, rows of one account moving together."""
    surprise = pl.col("converted") - pl.col("p_true")
    per_account = rows.group_by("account").agg(surprise.sum())["converted"].to_numpy()
    return float(per_account.sum() / np.sqrt((per_account**2).sum()))


# --- the sample, reproducibility -----------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_the_committed_sample_is_what_simulate_makes(world: World, table: str):
    assert_frame_equal(getattr(world, table), pl.read_parquet(SAMPLE / f"{table}.parquet"))


def test_the_committed_settings_are_what_simulate_makes(world: World):
    assert (SAMPLE / "dataset.toml").read_text(encoding="utf-8") == world.dataset_toml
    settings = tomllib.loads(world.dataset_toml)
    attributes = settings["attributes"]["numeric"] + settings["attributes"]["categorical"]
    assert not [a for a in attributes if a not in (*world.leads.columns, *world.accounts.columns)]
    assert not [c for c in settings["themes"]["core"] if c not in settings["themes"]["seeds"]]


def test_the_sample_is_small_enough_to_commit_and_large_enough_to_learn_from(world: World):
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 5_000_000
    assert world.outcomes.filter(outcome="closed_won")["lead_id"].n_unique() >= 350


def digest_in_a_new_process(**environment: str) -> str:
    program = (
        "import hashlib\n"
        "from intentcast.simulation import simulate\n"
        "from intentcast.simulation.folder import TABLES\n"
        "w = simulate(n_leads=300, seed=5); d = hashlib.sha256()\n"
        "[d.update(getattr(w, t).write_csv(float_precision=17).encode()) for t in TABLES]\n"
        "print(d.hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_neither_the_hash_seed_nor_the_number_of_threads_changes_a_bit():
    digests = [
        digest_in_a_new_process(PYTHONHASHSEED="1", POLARS_MAX_THREADS="1", OMP_NUM_THREADS="1"),
        digest_in_a_new_process(PYTHONHASHSEED="2", POLARS_MAX_THREADS="2", OMP_NUM_THREADS="2"),
    ]
    assert digests[0] == digests[1]


def test_another_seed_makes_another_world(world: World):
    assert not simulate(n_leads=4000, seed=8).events.equals(world.events)


def test_the_number_of_leads_is_the_one_asked_for():
    assert simulate(n_leads=1, seed=0).leads.height == 1


@pytest.mark.parametrize(("n_leads", "seed"), [(0, 1), (10, -1)])
def test_a_world_of_nobody_or_a_negative_seed_is_refused(n_leads: int, seed: int):
    with pytest.raises(InputError, match=r"at least 1 lead and a seed that is not negative"):
        simulate(n_leads=n_leads, seed=seed)


# --- writing --------------------------------------------------------------------------------------


def test_a_world_is_read_back_as_it_was_written(tmp_path: Path):
    small = simulate(n_leads=50, seed=2)
    out = tmp_path / "new" / "world"
    write_world(small, out)
    for table in TABLES:
        assert_frame_equal(getattr(small, table), pl.read_parquet(out / f"{table}.parquet"))
    assert (out / "dataset.toml").read_text(encoding="utf-8") == small.dataset_toml
    assert [path.name for path in out.parent.iterdir()] == ["world"]


def test_an_empty_folder_is_filled_and_a_full_one_refused(tmp_path: Path):
    small = simulate(n_leads=20, seed=2)
    write_world(small, tmp_path)
    with pytest.raises(InputError, match=r"exists and is not an empty folder"):
        write_world(small, tmp_path)


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", fail)
    with pytest.raises(OSError, match="disk full"):
        write_world(simulate(n_leads=20, seed=2), tmp_path / "world")
    assert not list(tmp_path.iterdir())


# --- the truth ------------------------------------------------------------------------------------


def test_win_probability_is_the_power_of_the_transition_matrix():
    some = matrices(50, seed=1)
    recursion = win_probability(some, horizons_days=(1, 30, 90))
    for column, days in enumerate((1, 30, 90)):
        power = np.linalg.matrix_power(some, days)[:, :, State.BOUGHT]
        np.testing.assert_allclose(recursion[:, :, column], power, rtol=1e-10, atol=1e-15)


def test_transition_matrices_are_distributions_and_closed_accounts_stay_closed():
    some = matrices(500, seed=1)
    np.testing.assert_allclose(some.sum(axis=2), 1.0)
    assert some.min() >= 0
    for state in (State.BOUGHT, State.LOST):
        np.testing.assert_array_equal(some[:, state], np.tile(np.eye(N_STATES)[state], (500, 1)))


def test_sampled_steps_are_as_frequent_as_the_matrix_says():
    one = np.repeat(matrices(1, seed=4), 3000, axis=0)
    paths = sample_paths(one, np.random.default_rng(0), is_outsider=np.zeros(3000, dtype=bool))
    here, there = paths[:, :-1].ravel(), paths[:, 1:].ravel()
    for state in (State.AWARENESS, State.CONSIDERATION, State.DECISION):
        n_days = (here == state).sum()
        seen = np.bincount(there[here == state], minlength=N_STATES) / n_days
        expected = one[0, state]
        error = np.sqrt(expected * (1 - expected) / n_days)
        assert (np.abs(seen - expected) <= 5 * error + 1e-12).all()


def test_a_deal_of_the_last_day_counts_and_one_on_the_horizon_does_not():
    # The worked example of `true_probabilities`: as of 2024-03-04 (day 63), 30 days.
    as_of = datetime(2024, 3, 4, tzinfo=UTC)
    assert (as_of - START).days == 63
    paths = np.full((2, N_DAYS + 1), State.DECISION, dtype=np.int8)
    paths[0, 93:] = State.BOUGHT  # steps during day 92, 2024-04-02
    paths[1, 94:] = State.BOUGHT  # steps during day 93, 2024-04-03
    closed = closing_second(paths, np.random.default_rng(0))
    inside = [START + timedelta(seconds=int(s)) < as_of + timedelta(days=30) for s in closed]
    assert inside == [True, False]
    # ... which is exactly what 30 steps from S[63] cover.
    assert [bool(p[63 + 30] == State.BOUGHT) for p in paths] == inside


def test_an_account_that_stays_open_never_closes():
    paths = np.full((1, N_DAYS + 1), State.AWARENESS, dtype=np.int8)
    assert closing_second(paths, np.random.default_rng(0))[0] == NEVER


def check_calibration(world: World) -> None:
    for horizon_days in (30, 60, 90):
        rows = with_outcome(world, horizon_days=horizon_days)
        assert abs(clustered_z(rows)) < 3.5
        possible = rows.filter(pl.col("p_true") > 0).with_columns(
            tenth=pl.col("p_true").rank("ordinal") * 10 // (pl.len() + 1)
        )
        for _, tenth in possible.sort("tenth").group_by("tenth", maintain_order=True):
            # In the lowest tenths hardly an account converts: no standard error to speak of.
            if tenth["p_true"].sum() > 500:
                assert abs(clustered_z(tenth)) < 4
        assert rows.filter(pl.col("p_true") == 0)["converted"].sum() == 0


def test_leads_convert_as_often_as_the_truth_says(wide_world: World):
    check_calibration(wide_world)


def test_nothing_seen_before_the_as_of_time_adds_to_the_truth(wide_world: World):
    # Were anything drawn with a look at a later state, it would predict beyond the truth.
    views = (
        known_events(wide_world)
        .filter(pl.col("event_type").is_in(["page_view", "document_view"]))
        .select("lead_id", viewed_at="occurred_at")
    )
    rows = (
        with_outcome(wide_world, horizon_days=30)
        .filter(pl.col("p_true") > 0)
        .sort("as_of")
        .join_asof(
            views, left_on="as_of", right_on="viewed_at", by="lead_id", check_sortedness=False
        )
        .join(wide_world.leads.select("lead_id", "source"), on="lead_id")
        .with_columns(
            viewed=pl.col("as_of") - pl.col("viewed_at") < timedelta(days=7),  # null: never
            band=pl.sum_horizontal(pl.col("p_true") > edge for edge in (0.02, 0.1, 0.3, 0.5)),
        )
        .sort("lead_id", "as_of")
    )
    for columns in (["source"], ["viewed", "band"]):
        for _, group in rows.group_by(columns, maintain_order=True):
            assert abs(clustered_z(group)) < 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_in_a_large_world_too_leads_convert_as_often_as_the_truth_says(seed: int):
    check_calibration(simulate(n_leads=50_000, seed=seed))


def test_the_truth_has_each_open_lead_at_each_monday_and_horizon(world: World):
    closing = world.outcomes.filter(pl.col("outcome").is_in(["closed_won", "closed_lost"]))
    spans = world.leads.join(closing.select("lead_id", at="occurred_at"), on="lead_id", how="left")
    mondays = pl.DataFrame(
        {"as_of": pl.datetime_range(START, datetime(2025, 12, 29, tzinfo=UTC), "7d", eager=True)}
    )
    expected = spans.join(mondays, how="cross").filter(
        pl.col("created_at") < pl.col("as_of"),
        pl.col("at").is_null() | (pl.col("at") >= pl.col("as_of")),
    )
    expected = expected.select("lead_id", pl.col("as_of").cast(pl.Datetime("us", "UTC")))
    for _, rows in world.truth.group_by("horizon_days"):
        assert_frame_equal(rows.select("lead_id", "as_of"), expected, check_row_order=False)
    assert sorted(world.truth["horizon_days"].unique()) == [30, 60, 90]


def test_the_probability_grows_with_the_horizon(world: World):
    wide = world.truth.pivot("horizon_days", index=["lead_id", "as_of"], values="p_true")
    assert wide.filter((pl.col("30") > pl.col("60")) | (pl.col("60") > pl.col("90"))).is_empty()
    assert world.truth["p_true"].is_between(0, 1).all()
    assert (world.truth["std_error"] == 0).all()


def test_the_base_rate_at_90_days_is_that_of_a_hard_but_possible_problem(world: World):
    last_seen = (
        known_events(world)
        .filter(~pl.col("is_machine"))
        .select("lead_id", seen_at="occurred_at")
        .sort("seen_at")
    )
    cohort = (
        with_outcome(world, horizon_days=90)
        .filter(pl.col("as_of") >= datetime(2024, 7, 1, tzinfo=UTC))
        .sort("as_of")
        .join_asof(
            last_seen, left_on="as_of", right_on="seen_at", by="lead_id", check_sortedness=False
        )
        .filter(pl.col("seen_at") >= pl.col("as_of") - timedelta(days=180))
    )
    assert 0.06 < cohort["converted"].mean() < 0.10


# --- the catalogue --------------------------------------------------------------------------------


def test_the_catalogue_has_many_distinct_items_over_many_themes(world: World):
    assert world.content.height >= 80
    assert world.content["content"].is_unique().all()
    assert world.content["title"].str.len_chars().min() > 3
    assert world.content["theme"].n_unique() >= 8


def test_events_carry_only_catalogued_content(world: World):
    assert world.events["content"].is_in(world.content["content"].implode()).all()


# --- behaviour ------------------------------------------------------------------------------------


def test_every_event_type_and_channel_occurs_and_no_other(world: World):
    assert sorted(world.events["event_type"].unique()) == sorted(EVENT_TYPES)
    assert sorted(world.events["channel"].unique()) == sorted(CHANNELS)


def test_no_event_lies_before_the_leads_creation_or_after_its_closing(world: World):
    closing = world.outcomes.filter(pl.col("outcome").is_in(["closed_won", "closed_lost"]))
    rows = (
        world.events.select("lead_id", "occurred_at")
        .join(world.leads.select("lead_id", "created_at"), on="lead_id")
        .join(closing.select("lead_id", closed_at="occurred_at"), on="lead_id", how="left")
    )
    assert rows.filter(pl.col("occurred_at") < pl.col("created_at")).is_empty()
    assert rows.filter(pl.col("occurred_at") >= pl.col("closed_at")).is_empty()


def test_a_few_rows_are_recorded_days_late_and_the_others_within_the_hour(world: World):
    delay = known_events(world).select(d=pl.col("recorded_at") - pl.col("occurred_at"))["d"]
    late = delay.filter(delay >= timedelta(days=1))
    assert 0.02 < len(late) / len(delay) < 0.04
    assert late.max() <= timedelta(days=10)
    assert delay.filter(delay < timedelta(days=1)).max() < timedelta(hours=1)
    assert delay.min() > timedelta(0)


def test_the_extract_holds_nothing_from_after_its_end(world: World):
    for table in (world.events, world.outcomes, world.attribute_changes):
        assert table["recorded_at"].max() < END


def test_duplicates_are_exact_copies_with_the_same_event_id(world: World):
    n_copies = world.events.height - known_events(world).height
    assert 50 < n_copies < 0.01 * world.events.height
    assert world.events.unique().height == known_events(world).height


def test_machine_opens_are_frequent_and_nothing_else_is_by_machine(world: World):
    opens = world.events.filter(event_type="email_open")
    assert opens["is_machine"].mean() > 0.4
    assert world.events.filter(pl.col("is_machine"))["event_type"].unique().to_list() == [
        "email_open"
    ]


def test_students_and_competitors_read_about_prices_and_never_convert(world: World):
    outside = world.leads.filter(pl.col("job_title").is_in(OUTSIDE_TITLES))
    assert outside.height > 100
    outcomes = world.outcomes.join(outside, on="lead_id", how="semi")
    assert outcomes["outcome"].unique().to_list() == ["mql_rejected"]
    assert world.truth.join(outside, on="lead_id", how="semi")["p_true"].max() == 0

    pricing = world.content.filter(theme="pricing")["content"].to_list()
    views = world.events.filter(pl.col("content").is_in(pricing))
    per_outsider = views.join(outside, on="lead_id", how="semi").height / outside.height
    assert per_outsider > views.height / world.leads.height


def test_nobody_is_mailed_after_unsubscribing(world: World):
    left = (
        world.events.filter(event_type="unsubscribe")
        .group_by("lead_id")
        .agg(left_at=pl.col("occurred_at").min())
    )
    assert left.height > 20
    machine = world.events.filter(pl.col("is_machine")).join(left, on="lead_id")
    assert machine.filter(pl.col("occurred_at") > pl.col("left_at")).is_empty()


def test_the_mix_of_themes_follows_the_buying_state(block: Block):
    at_start_of_day = np.minimum(block.events.at // DAY, N_DAYS)
    state = block.paths[block.leads.account[block.events.lead], at_start_of_day]
    events = pl.DataFrame({"content": block.events.content, "state": state})
    catalogue = simulate(n_leads=1, seed=0).content.with_row_index("code")
    late = ["pricing", "implementation", "roi", "architecture"]
    core = catalogue.filter(pl.col("theme").is_in(late))["code"].to_list()
    share = (events.group_by("state").agg(core=pl.col("content").is_in(core).mean()).sort("state"))[
        "core"
    ].to_list()
    assert share[State.AWARENESS] < share[State.CONSIDERATION] < share[State.DECISION]


def test_stalled_accounts_fall_silent_and_return_when_they_restart(block: Block):
    is_human = ~block.events.is_machine
    lead, day = block.events.lead[is_human], block.events.at[is_human] // DAY
    n_events = np.zeros((len(block.accounts.fit), N_DAYS))
    np.add.at(n_events, (block.leads.account[lead], day), 1)
    stalled = np.isin(block.paths[:, :N_DAYS], [int(s) for s in STALLED])
    restarted = np.zeros_like(stalled)
    account, step = np.nonzero(stalled[:, :-1] & ~stalled[:, 1:])
    is_open = block.paths[account, step + 1] < State.STALLED_AWARENESS
    for a, d in zip(account[is_open], step[is_open], strict=True):
        restarted[a, d + 1 : d + 31] = True
    restarted &= ~stalled & (block.paths[:, :N_DAYS] < State.BOUGHT)
    assert is_open.sum() > 100
    assert n_events[restarted].mean() > 5 * n_events[stalled].mean()


def test_colleagues_of_buying_accounts_view_the_same_document_within_days(world: World):
    views = (
        known_events(world)
        .filter(event_type="document_view")
        .join(world.leads.select("lead_id", "account_id").drop_nulls(), on="lead_id")
        .with_columns(week=pl.col("occurred_at").dt.truncate("1w"))
        .group_by("account_id", "content", "week")
        .agg(n_people=pl.col("lead_id").n_unique())
        .filter(pl.col("n_people") >= 2)
    )
    assert views.height > 300
    buyers = world.leads.join(
        world.outcomes.filter(outcome="closed_won"), on="lead_id", how="semi"
    )["account_id"].unique()
    n_buyers = buyers.drop_nulls().len()
    seen = views["account_id"].unique()
    among_buyers = seen.is_in(buyers.implode()).sum() / n_buyers
    among_others = (~seen.is_in(buyers.implode())).sum() / (world.accounts.height - n_buyers)
    assert among_buyers > 3 * among_others


# --- outcomes and attributes ----------------------------------------------------------------------


def test_committee_members_of_one_account_close_at_the_same_time(world: World):
    closing = world.outcomes.filter(pl.col("outcome").is_in(["closed_won", "closed_lost"]))
    assert closing["lead_id"].is_unique().all()
    per_account = (
        closing.join(world.leads, on="lead_id")
        .drop_nulls("account_id")
        .group_by("account_id")
        .agg(pl.col("occurred_at").n_unique(), pl.col("outcome").n_unique())
    )
    assert per_account["occurred_at"].max() == 1
    assert per_account["outcome"].max() == 1


def test_won_deals_have_amounts_and_everything_negative_has_a_reason(world: World):
    has_amount = world.outcomes["amount"].is_not_null()
    assert (has_amount == (world.outcomes["outcome"] == "closed_won")).all()
    has_reason = world.outcomes["reason"].is_not_null()
    assert (has_reason == world.outcomes["outcome"].is_in(["closed_lost", "mql_rejected"])).all()
    rejected = world.outcomes.filter(outcome="mql_rejected")["reason"].unique().sort().to_list()
    assert rejected == ["competitor", "no budget", "student", "too early", "wrong role"]


def test_outcomes_are_recorded_within_days(world: World):
    delay = world.outcomes.select(d=pl.col("recorded_at") - pl.col("occurred_at"))["d"]
    assert timedelta(0) <= delay.min()
    assert delay.max() < timedelta(days=3, hours=3)


def test_tables_hold_the_latest_of_each_attribute_that_changed(world: World):
    changes = world.attribute_changes
    assert 200 < changes.height < 1500
    latest = changes.sort("recorded_at", maintain_order=True).group_by(
        "entity", "entity_id", "attribute"
    )
    latest = latest.agg(pl.col("value").last(), n_values=pl.len())
    assert latest["n_values"].min() == latest["n_values"].max() == 2
    titles = latest.filter(entity="lead", attribute="job_title").join(
        world.leads, left_on="entity_id", right_on="lead_id"
    )
    sizes = latest.filter(entity="account", attribute="employee_count").join(
        world.accounts, left_on="entity_id", right_on="account_id"
    )
    assert titles.height + sizes.height == latest.height
    assert (titles["value"] == titles["job_title"]).all()
    assert (sizes["value"] == sizes["employee_count"].cast(pl.String)).all()


def test_the_first_value_of_a_changed_title_is_known_when_the_lead_is(world: World):
    first = (
        world.attribute_changes.filter(entity="lead")
        .sort("recorded_at", maintain_order=True)
        .group_by("entity_id", maintain_order=True)
        .first()
        .join(world.leads, left_on="entity_id", right_on="lead_id")
    )
    assert (first["recorded_at"] == first["created_at"]).all()


def test_job_titles_are_few_and_promotions_lead_to_known_ones(world: World):
    assert world.leads["job_title"].n_unique() <= 30
    assert not [title for title in PROMOTIONS.values() if title not in TITLES]
