"""Behaviour rules to awards: points that a lead earned (or lost again), each known from a time on.

An award depends only on what was known by its own time, so later records never change it.
"""

import polars as pl

from intentcast.scorecards.card import BehaviourRule, Scorecard
from intentcast.scorecards.history import OF_EPOCH
from intentcast.scorecards.points import to_thousandths

RULE = pl.UInt16
_NONE = pl.lit(0, dtype=pl.Int64)
AWARD_COLUMNS = ("lead_id", "epoch", "known_at", "rule", "n")


def behaviour_awards(card: Scorecard, history: pl.DataFrame) -> pl.DataFrame:
    """Return every award of the card's behaviour rules.

    Args:
        card: Its rules; `rule` is a position in `card.behaviours`.
        history: From `known_history`.

    Returns:
        In no particular order: `lead_id`, `epoch`, `known_at`, `rule`, `n` (1, or -1 where an
        award ends) and `thousandths` of points.
    """
    if not card.behaviours:
        return history.clear().select(
            *OF_EPOCH, "known_at", rule=_NONE.cast(RULE), n=_NONE, thousandths=_NONE
        )
    matches = _matches(card, history)
    remembered = matches.filter(~pl.col("is_forgotten"))
    parts = [_counted(card, remembered)]
    for i, rule in enumerate(card.behaviours):
        of_rule = pl.col("rule") == i
        if rule.distinct_people is not None:
            parts.append(_shared(matches.filter(of_rule), n_people=rule.distinct_people))
        elif rule.until is not None:
            answers = history.filter(
                pl.col("event_type").is_in(rule.until), ~pl.col("is_forgotten")
            )
            parts.append(_unanswered(remembered.filter(of_rule), answers))
    points = [to_thousandths(rule.points) for rule in card.behaviours]
    each = pl.col("rule").replace_strict(dict(enumerate(points)), return_dtype=pl.Int64)
    return pl.concat(parts).with_columns(thousandths=pl.col("n") * each)


def _matches(card: Scorecard, history: pl.DataFrame) -> pl.DataFrame:
    """One row per event and rule that it matches, in the history's order."""
    # Events repeat few combinations of type, content and channel: match each combination once.
    keys = ["event_type", "content", "channel"]
    kinds = history.select(keys).unique()
    raw = kinds.select(
        *keys, *(_fits(rule).alias(f"{i}") for i, rule in enumerate(card.behaviours))
    )
    flags = [
        (pl.col(f"{i}") & ~_any(_earlier_in_group(card, i))).alias(f"{i}")
        for i in range(len(card.behaviours))
    ]
    pairs = (
        raw.with_columns(flags)
        .unpivot(index=keys, variable_name="rule", value_name="fits")
        .filter("fits")
        .select(*keys, pl.col("rule").cast(RULE))
    )
    return history.join(pairs, on=keys, nulls_equal=True, maintain_order="left")


def _fits(rule: BehaviourRule) -> pl.Expr:
    fits = pl.col("event_type").is_in(rule.event_type)
    if rule.content is not None:
        fits &= pl.col("content").str.contains(f"(?i){rule.content}").fill_null(value=False)
    if rule.channel is not None:
        fits &= pl.col("channel").is_in(rule.channel).fill_null(value=False)
    return fits


def _earlier_in_group(card: Scorecard, position: int) -> list[int]:
    group = card.behaviours[position].group
    earlier = range(position if group is not None else 0)
    return [i for i in earlier if card.behaviours[i].group == group]


def _any(positions: list[int]) -> pl.Expr:
    return pl.any_horizontal(pl.lit(value=False), *(f"{i}" for i in positions))


def _counted(card: Scorecard, matches: pl.DataFrame) -> pl.DataFrame:
    """Awards of the rules that count single matches: each one, or the n-th in its scope."""
    rules = [
        (i, rule.per, rule.nth)
        for i, rule in enumerate(card.behaviours)
        if rule.distinct_people is None and rule.until is None
    ]
    every = [i for i, per, _ in rules if per == "event"]
    counted = {i: (per, nth) for i, per, nth in rules if per != "event"}
    awards = [matches.filter(pl.col("rule").is_in(every))]
    if counted:
        by_content = [i for i, (per, _) in counted.items() if per == "content"]
        scope = pl.when(pl.col("rule").is_in(by_content)).then("content")
        nth = pl.col("rule").replace_strict(
            {i: nth for i, (_, nth) in counted.items()}, return_dtype=pl.UInt32
        )
        place = pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).over(*OF_EPOCH, "rule", "scope")
        in_scope = matches.filter(pl.col("rule").is_in(list(counted))).with_columns(scope=scope)
        awards.append(in_scope.filter(place == nth).drop("scope"))
    return _once_each(pl.concat(awards))


def _once_each(matches: pl.DataFrame) -> pl.DataFrame:
    return matches.with_columns(n=pl.lit(1, dtype=pl.Int64)).select(AWARD_COLUMNS)


def _shared(matches: pl.DataFrame, *, n_people: int) -> pl.DataFrame:
    """Awards for content that `n_people` of an account viewed, to each of them.

    A colleague counts as soon as the view is known, in whatever epoch of the colleague; one's own
    view must be of one's present epoch. The award is known once both are.
    """
    # The first of equals is the earliest: matches are sorted by lead and time.
    viewed = matches.filter(pl.col("content").is_not_null())
    of_content = ("account_id", "content")
    first_views = viewed.unique([*of_content, "lead_id"], keep="first", maintain_order=True)
    shared_at = (
        first_views.sort("known_at")
        .filter(pl.int_range(1, pl.len() + 1).over(of_content) == n_people)
        .select(*of_content, shared_at="known_at")
    )
    own = (
        viewed.filter(~pl.col("is_forgotten"))
        .unique([*OF_EPOCH, "content"], keep="first", maintain_order=True)
        .join(shared_at, on=of_content)
        .with_columns(known_at=pl.max_horizontal("known_at", "shared_at"))
    )
    return _once_each(own)


def _unanswered(asked: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Awards for content whose latest `asked` occurred after the latest answer, per lead.

    An award begins when that becomes known and ends (`n` = -1) when an answer becomes known that
    occurred at the same time or later.
    """
    scope = (*OF_EPOCH, "content")
    columns = [*scope, "known_at", "occurred_at"]
    leads = asked.select("lead_id", "content").unique()
    both = pl.concat(
        [
            asked.select(*columns, "rule", asks=pl.lit(value=True)),
            answers.join(leads, on=["lead_id", "content"], how="semi", nulls_equal=True).select(
                *columns, rule=pl.lit(None, dtype=RULE), asks=pl.lit(value=False)
            ),
        ]
    ).sort("lead_id", "known_at", "occurred_at")
    latest = {
        name: pl.when(pl.col("asks") == asks)
        .then("occurred_at")
        .cum_max()
        .forward_fill()
        .over(scope)
        for name, asks in (("asked", True), ("answered", False))
    }
    is_open = (pl.col("asked") > pl.col("answered")) | (
        pl.col("asked").is_not_null() & pl.col("answered").is_null()
    )
    change = pl.col("is_open").cast(pl.Int64).diff().over(scope)
    return (
        both.with_columns(**latest)
        .with_columns(is_open=is_open.fill_null(value=False))
        .with_columns(n=pl.coalesce(change, pl.col("is_open").cast(pl.Int64)))
        .filter(pl.col("n") != 0)
        .with_columns(rule=pl.lit(asked["rule"].first(), dtype=RULE))
        .select(AWARD_COLUMNS)
    )
