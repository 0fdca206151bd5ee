"""A data set's tables as the arrays that the kernel walks over."""

import numpy as np
import polars as pl

from intentcast.contracts import INSTANT
from intentcast.features.kernel.arrays import (
    ALWAYS,
    LOST,
    RETURNED,
    WON,
    Codes,
    Floats,
    Histories,
    Ints,
)
from intentcast.features.kernel.order import bounds_of, event_order
from intentcast.features.seniority import rank
from intentcast.features.vocabulary import NONE, Vocabulary, coded, distinct
from intentcast.sources import Dataset


def encode_dataset(dataset: Dataset, snapshots: pl.DataFrame, vocabulary: Vocabulary) -> Histories:
    """Return the histories of the snapshots' leads and, where accounts count, their colleagues.

    Machine events are left out here, once, so that no feature can count them. The order of any
    table's rows does not matter.

    Args:
        dataset: Its leads, events, outcomes and changes of attributes.
        snapshots: `lead_id`, `account_id`, `as_of`.
        vocabulary: What training learnt.
    """
    spec = vocabulary.spec
    key = "account_id" if spec.has_accounts else "lead_id"
    wanted = snapshots[key].unique()
    people = dataset.leads.filter(pl.col(key).is_in(wanted.implode())).sort("account_id", "lead_id")
    accounts = people[key].rle_id().cast(pl.Int64).to_numpy()
    n_leads = len(people)
    numbers = range(n_leads)
    ids = people["lead_id"]

    row_lead = coded(snapshots["lead_id"], numbers, ids).astype(np.int64)
    as_of = _micros(snapshots["as_of"])
    place = _sorted_places(row_lead, as_of)

    events = dataset.events
    lead = coded(events["lead_id"], numbers, ids).astype(np.int64)
    lead[events["is_machine"].fill_null(value=False).to_numpy()] = NONE
    known, occurred = _micros(events["known_at"]), _micros(events["occurred_at"])
    value, duration = _numbers(events["value"]), _numbers(events["duration_seconds"])
    lead_events = bounds_of(lead, n_leads)
    order = event_order(lead, known, occurred, value, duration, lead_events)
    codes, content = _codes(events, vocabulary)
    outcomes = _outcomes(dataset, ids)
    ranks = _ranks(dataset, people, spec.seniority)
    return Histories(
        account_leads=bounds_of(accounts, int(accounts[-1]) + 1 if n_leads else 0),
        lead_events=lead_events,
        lead_outcomes=bounds_of(outcomes[0], n_leads),
        lead_ranks=bounds_of(ranks[0], n_leads),
        lead_rows=bounds_of(row_lead, n_leads),
        created=_micros(people["created_at"]),
        known=known[order],
        occurred=occurred[order],
        codes=codes[order],
        content=content[order],
        value=value[order],
        duration=duration[order],
        outcome_known=outcomes[1],
        outcome_occurred=outcomes[2],
        outcome_kind=outcomes[3],
        rank_known=ranks[1],
        rank=ranks[2],
        as_of=as_of[place],
        place=place,
    )


def _sorted_places(lead: Ints, as_of: Ints) -> Ints:
    """Return the rows sorted by lead and as-of time; cohorts mostly are already."""
    step = np.diff(lead)
    if bool(((step > 0) | ((step == 0) & (np.diff(as_of) >= 0))).all()):
        return np.arange(len(lead))
    return np.lexsort((as_of, lead))


def _micros(column: pl.Series) -> Ints:
    instants = column.dt.cast_time_unit("us") if column.dtype != INSTANT else column
    return np.ascontiguousarray(instants.to_numpy().view(np.int64))


def _numbers(column: pl.Series) -> Floats:
    return np.ascontiguousarray(column.to_numpy(), dtype=np.float64)


def _codes(events: pl.DataFrame, vocabulary: Vocabulary) -> tuple[Codes, Ints]:
    """Return each event's type, theme and channel, shape (n, 3), and the number of its content."""
    (types, type_names), (channels, channel_names), (content, contents) = (
        _numbered(events[name]) for name in ("event_type", "channel", "content")
    )
    columns = (
        np.array([*map(vocabulary.type_of, type_names), NONE], dtype=np.int32)[types],
        np.array([*map(vocabulary.theme_of, contents), NONE], dtype=np.int32)[content],
        np.array([*map(vocabulary.channel_of, channel_names), NONE], dtype=np.int32)[channels],
    )
    return np.ascontiguousarray(np.stack(columns, axis=1)), content


def _numbered(column: pl.Series) -> tuple[Ints, list[str]]:
    """Return the number of each row's text, −1 for none, and the texts by number."""
    if not isinstance(column.dtype, pl.Enum):
        texts = distinct(column)
        return coded(column, range(len(texts)), texts).astype(np.int64), texts.to_list()
    # They have numbers already; only those that occur here get one of their own.
    given = column.to_physical().cast(pl.Int64).fill_null(NONE).to_numpy() + 1
    met = np.flatnonzero(np.bincount(given, minlength=1)[1:])
    number = np.full(int(given.max(initial=0)) + 1, NONE)
    number[met + 1] = np.arange(len(met))
    texts = pl.Series(met.astype(np.uint32)).cat.to(column.dtype)
    return number[given], texts.cast(pl.String).to_list()


def kind_of(outcome: str, *, won: tuple[str, ...], lost: tuple[str, ...]) -> int:
    """Return what an outcome is to the features: a conversion, a closing one, or a return."""
    return WON if outcome in won else LOST if outcome in lost else RETURNED


def _outcomes(dataset: Dataset, ids: pl.Series) -> tuple[Ints, Ints, Ints, Ints]:
    conversion = dataset.config.conversion
    outcomes = dataset.outcomes
    lead = coded(outcomes["lead_id"], range(len(ids)), ids).astype(np.int64)
    names = distinct(outcomes["outcome"])
    kinds = [kind_of(n, won=conversion.outcomes, lost=conversion.closing) for n in names]
    kind = coded(outcomes["outcome"], kinds, names).astype(np.int64)
    known = _micros(outcomes["known_at"])
    order = np.lexsort((known, lead))
    order = order[lead[order] >= 0]
    return lead[order], known[order], _micros(outcomes["occurred_at"])[order], kind[order]


def _ranks(dataset: Dataset, people: pl.DataFrame, column: str) -> tuple[Ints, Ints, Ints]:
    """Return the rank in the table of leads, known always, then each change: lead, known, rank."""
    if column not in people.columns:
        none = np.zeros(0, dtype=np.int64)
        return none, none, none
    ids, titles = people["lead_id"], people[column].cast(pl.String)
    lead = np.arange(len(ids))
    known = np.full(len(ids), ALWAYS, dtype=np.int64)
    changes = dataset.attribute_changes
    if len(changes):
        changes = changes.filter(
            (pl.col("entity") == "lead")
            & (pl.col("attribute") == column)
            & pl.col("entity_id").is_in(ids.implode())
            # Of changes at one instant the last text holds, as in `snapshots.attributes_as_of`.
        ).sort("recorded_at", "value", maintain_order=True)
        titles = pl.concat([titles, changes["value"].cast(pl.String).alias(titles.name)])
        lead = np.concatenate([lead, coded(changes["entity_id"], range(len(ids)), ids)])
        known = np.concatenate([known, _micros(changes["recorded_at"])])
    texts = distinct(titles)
    ranks = np.maximum(coded(titles, [rank(text) for text in texts], texts), 0).astype(np.int64)
    order = np.lexsort((known, lead))
    return lead[order].astype(np.int64), known[order], ranks[order]
