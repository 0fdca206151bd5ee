"""Events of a data set as the arrays that the kernel walks over."""

import numpy as np
import polars as pl

from intentcast.contracts import INSTANT
from intentcast.features.vocabulary import coded
from intentcast.scorecards.kernel import NO_LIMIT, Events, Flags, Ints, Signatures
from intentcast.scorecards.ordering import in_order
from intentcast.scorecards.rulebook import Rulebook
from intentcast.scorecards.sharing import walk_shared
from intentcast.scorecards.signatures import text_codes
from intentcast.sources import Dataset


def micros(column: pl.Series) -> Ints:
    """Return instants as microseconds since 1970."""
    instants = column if column.dtype == INSTANT else column.dt.cast_time_unit("us")
    return np.ascontiguousarray(instants.to_numpy().view(np.int64))


def read_events(
    book: Rulebook, dataset: Dataset, snapshots: pl.DataFrame, *, before: int
) -> tuple[Events, Signatures, Ints]:
    """Return what the leads in the snapshots did, as far as known before an instant.

    Args:
        book: Of the card.
        dataset: Its events; those of machines are left out, here, once.
        snapshots: `lead_id`, `account_id`.
        before: Microseconds.

    Returns:
        Events; what their signatures mean; the number of each snapshot's lead, shape (n,).
    """
    # Colleagues matter to rules about several people only.
    key = "account_id" if book.people else "lead_id"
    wanted = snapshots[key].unique()
    people = dataset.leads.filter(pl.col(key).is_in(wanted.implode())).sort("account_id", "lead_id")
    ids = people["lead_id"]
    table = dataset.events
    lead = coded(table["lead_id"], range(len(ids)), ids).astype(np.int64)
    known = micros(table["known_at"])
    lead[table["is_machine"].fill_null(value=False).to_numpy() | (known >= before)] = -1
    signature, codes = book.signatures.of_events(table)
    signatures, rank = book.signatures.tables
    occurred = micros(table["occurred_at"])
    bounds, order = in_order(lead, known, occurred, signature, signatures.opts_out, rank, len(ids))
    content = np.full(len(order), -1, dtype=np.int32)
    if book.counts_contents:
        codes = codes if "content" in codes else {"content": text_codes(table["content"])[0]}
        content = codes["content"][order]
    daily = np.zeros(0, dtype=np.int32)
    caps = book.daily_types
    if caps:
        names = pl.Series(list(caps), dtype=pl.String)
        daily = coded(table["event_type"], range(len(caps)), names)[order]
    events = Events(
        bounds=bounds,
        known=known[order],
        occurred=occurred[order],
        signature=signature[order],
        content=content,
        daily_type=daily,
        daily_cap=np.array(list(caps.values()), dtype=np.int64),
        shared_known=np.full((0, 0), NO_LIMIT, dtype=np.int64),
        shared_occurred=np.full((0, 0), NO_LIMIT, dtype=np.int64),
    )
    if book.people:
        account = people["account_id"].rle_id().cast(pl.Int64).to_numpy()
        events = shared(book, events, signatures, account)
    return events, signatures, coded(snapshots["lead_id"], range(len(ids)), ids).astype(np.int64)


def shared(book: Rulebook, events: Events, signatures: Signatures, account: Ints) -> Events:
    """Return the events with when each content had been met by enough people of the account.

    A colleague counts as soon as the event is known, in whatever epoch of the colleague.

    Args:
        book: Of the card.
        events: Of all people of the accounts.
        signatures: Of the events.
        account: Number of each lead's account, shape (n_leads,).
    """
    shared_known, shared_occurred = walk_shared(
        _counting(book, signatures),
        book.enough,
        account,
        events.bounds,
        events.known,
        events.occurred,
        events.signature,
        events.content,
    )
    return events._replace(shared_known=shared_known, shared_occurred=shared_occurred)


def _counting(book: Rulebook, signatures: Signatures) -> Flags:
    """Return which signatures count for each rule about people, shape (n_rules, n_signatures).

    Those that match it and no earlier one of its group.
    """
    remembered = book.counting.get(book.people)
    if remembered is not None and remembered[0] is signatures:
        return remembered[1]
    group = book.rules.group
    out = np.zeros((len(book.people), len(signatures.opts_out)), dtype=np.bool_)
    for number in range(out.shape[1]):
        start, stop = signatures.first_rule[number : number + 2]
        met = signatures.rules[start:stop].tolist()
        for row, position in enumerate(book.people):
            earlier = [r for r in met if r < position and group[r] == group[position] >= 0]
            out[row, number] = position in met and not earlier
    book.counting[book.people] = (signatures, out)
    return out
