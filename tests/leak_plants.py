"""Leaks as real projects had them, planted into a clean data set; each takes and gives one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

DAY = timedelta(days=1)


def wins(dataset):
    """When each lead converted first: `lead_id`, `won_at`, `won_known_at`, sorted."""
    is_win = pl.col("outcome").is_in(dataset.config.conversion.outcomes)
    return (
        dataset.outcomes.filter(is_win)
        .group_by("lead_id")
        .agg(won_at=pl.col("occurred_at").min(), won_known_at=pl.col("known_at").min())
        .sort("lead_id")
    )


def with_attribute(dataset, values, *, numeric=False):
    """Add a column to leads and to [attributes]; `values` has `lead_id` and the column."""
    name = next(column for column in values.columns if column != "lead_id")
    kind = "numeric" if numeric else "categorical"
    attributes = dataset.config.attributes
    wider = attributes.model_copy(update={kind: (*getattr(attributes, kind), name)})
    config = dataset.config.model_copy(update={"attributes": wider})
    leads = dataset.leads.join(values, on="lead_id", how="left", maintain_order="left")
    return replace(dataset, config=config, leads=leads)


def with_events(dataset, rows):
    """Add events: `lead_id`, `occurred_at`, `event_type`, and `known_at`."""
    events = pl.concat([dataset.events, rows], how="diagonal_relaxed")
    return replace(dataset, events=events.sort("lead_id", "known_at", maintain_order=True))


def filled_in_after_the_win(dataset):
    """A package that is entered for customers only, long after the fact, without history."""
    won = wins(dataset)
    packages = pl.Series("package", ["gold", "silver", "bronze"])
    return with_attribute(
        dataset, won.select("lead_id", package=packages.gather(np.arange(len(won)) % 3))
    )


def contract_sent_on_the_win(dataset):
    rows = wins(dataset).select(
        "lead_id", occurred_at="won_at", known_at="won_at", event_type=pl.lit("contract_sent")
    )
    return with_events(dataset, rows)


def stage_overwritten(dataset):
    """Each lead's stage as it is today: the last outcome's name, or open."""
    last = (
        dataset.outcomes.sort("known_at", maintain_order=True)
        .group_by("lead_id")
        .agg(stage=pl.col("outcome").last())
    )
    stages = dataset.leads.select("lead_id").join(last, on="lead_id", how="left")
    return with_attribute(dataset, stages.with_columns(pl.col("stage").fill_null("open")))


def event_entered_afterwards(dataset):
    """Reference calls of winners, entered on the win as of days before; recorded_at is lost."""
    won = wins(dataset)
    days = pl.Series(1 + np.arange(len(won)) * 7 % 60)
    at = pl.col("won_at") - days * DAY
    rows = won.select("lead_id", occurred_at=at, known_at=at, event_type=pl.lit("reference_call"))
    return with_events(dataset, rows)


def noisy_copy_of_the_label(dataset, *, seed=11):
    """Whether the lead ever converts, wrong in one of five."""
    won = set(wins(dataset)["lead_id"].to_list())
    is_wrong = np.random.default_rng(seed).random(len(dataset.leads)) < 0.2
    is_won = dataset.leads["lead_id"].is_in(won).to_numpy()
    flag = pl.Series("priority", np.where(is_won ^ is_wrong, "A", "B"))
    return with_attribute(dataset, dataset.leads.select("lead_id").with_columns(flag))


def number_given_on_closing(dataset):
    """A running record number that begins with the date of closing, or of creation if open."""
    ended = dataset.outcomes.group_by("lead_id").agg(ended=pl.col("occurred_at").min())
    numbers = dataset.leads.select("lead_id", "created_at").join(ended, on="lead_id", how="left")
    date = pl.coalesce("ended", "created_at").dt.strftime("%Y%m%d")
    running = pl.int_range(pl.len()).cast(pl.String).str.zfill(6)
    return with_attribute(
        dataset, numbers.select("lead_id", record=pl.concat_str(pl.lit("R-"), date, running))
    )


def outcomes_back_dated(dataset, *, days=45):
    """Conversions dated to when the talks began, although recorded when they were won."""
    is_win = pl.col("outcome").is_in(dataset.config.conversion.outcomes)
    earlier = pl.when(is_win).then(pl.col("occurred_at") - days * DAY)
    outcomes = dataset.outcomes.with_columns(earlier.otherwise("occurred_at").alias("occurred_at"))
    return replace(dataset, outcomes=outcomes)


def outcomes_back_dated_without_recording(dataset, *, days=45):
    """The same, and nobody knows when they were recorded."""
    moved = outcomes_back_dated(dataset, days=days).outcomes
    lost = moved.with_columns(
        recorded_at=pl.lit(None, dtype=moved.schema["recorded_at"]), known_at="occurred_at"
    )
    return replace(dataset, outcomes=lost)


def some_outcomes_back_dated(dataset, *, share=3, days=45):
    """One conversion of `share` is dated to when the talks began."""
    moved = outcomes_back_dated(dataset, days=days).outcomes
    is_moved = pl.int_range(pl.len()) % share == 0
    early = pl.when(is_moved).then(moved["occurred_at"]).otherwise("occurred_at")
    return replace(dataset, outcomes=dataset.outcomes.with_columns(occurred_at=early))


def closed_panel(*, n=900, days=330, seed=3):
    """Tables of customers who all joined on one day; holders of a card convert five times as often.

    Nothing leaks: who has a card was known on joining. But holders convert and leave, so that among
    those still open at the end few have one.
    """
    rng = np.random.default_rng(seed)
    joined = datetime(2024, 1, 1, tzinfo=UTC)
    has_card = rng.random(n) < 0.35
    wait = rng.exponential(np.where(has_card, 200.0, 1000.0), n)
    names = [f"L{i:04d}" for i in range(n)]
    leads = [
        {"lead_id": name, "created_at": joined, "card": "gold" if card else None}
        for name, card in zip(names, has_card, strict=True)
    ]
    visits = rng.uniform(0, days, (n, 24))
    events = [
        {"lead_id": name, "occurred_at": joined + float(day) * DAY, "event_type": "visit"}
        for name, row in zip(names, visits, strict=True)
        for day in row
    ]
    outcomes = [
        {"lead_id": name, "occurred_at": joined + float(day) * DAY, "outcome": "won"}
        for name, day in zip(names, wait, strict=True)
        if day < days
    ]
    settings = {
        "cohort": {"within_days": 60, "every_days": 7},
        "attributes": {"categorical": ["card"]},
    }
    return {"leads": leads, "events": events, "outcomes": outcomes, "settings": settings}
