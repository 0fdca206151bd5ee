"""What the kernel walks over: histories and the instants that look at them, as arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

DAY_US = 86_400_000_000
# No instant: earlier than any.
ALWAYS = -(2**62)
# A larger value or duration is taken as this one: 900,000 of them still fit into a sum of steps.
LARGEST = 1e10
# Kinds of outcomes.
WON, LOST, RETURNED = 0, 1, 2
# Columns of `Histories.codes`.
TYPE, THEME, CHANNEL = 0, 1, 2


class Histories(NamedTuple):
    """Accounts, their leads, and each lead's events, outcomes, ranks and snapshots.

    Leads are numbered so that those of an account are neighbours. Bounds say where each one's rows
    start, with one more entry for the end. Events are sorted by lead, `known`, `occurred`, value
    and duration: what is equal in all of these adds the same, so no other order matters.

    Attributes:
        account_leads: Bounds of leads per account.
        lead_events: Bounds of events per lead; human events only.
        lead_outcomes: Bounds of outcomes per lead.
        lead_ranks: Bounds of changes of rank per lead.
        lead_rows: Bounds of snapshots per lead.
        created: When each lead became one; microseconds.
        known: When each event became known; microseconds.
        occurred: When it occurred, never later than `known`.
        codes: Its event type, theme and channel, shape (n_events, 3); −1 for none.
        content: Number of its content, −1 for none.
        value: NaN for none.
        duration: Seconds, NaN for none.
        outcome_known: When each outcome became known, sorted inside each lead.
        outcome_occurred: When it occurred.
        outcome_kind: `WON`, `LOST` or `RETURNED`.
        rank_known: When each rank became known, sorted inside each lead; `ALWAYS` for the first.
        rank: From `seniority.rank`.
        as_of: Of each snapshot, sorted inside each lead; microseconds.
        place: Which snapshot of the caller's each one is.
    """

    account_leads: Ints
    lead_events: Ints
    lead_outcomes: Ints
    lead_ranks: Ints
    lead_rows: Ints
    created: Ints
    known: Ints
    occurred: Ints
    codes: Codes
    content: Ints
    value: Floats
    duration: Floats
    outcome_known: Ints
    outcome_occurred: Ints
    outcome_kind: Ints
    rank_known: Ints
    rank: Ints
    as_of: Ints
    place: Ints


class Plan(NamedTuple):
    """What is computed and where it is written; arrays and numbers only.

    Attributes:
        half_lives: Microseconds.
        windows: Microseconds, rising.
        first_theme: Group number of the first theme; event types begin at 1.
        first_channel: Group number of the first channel.
        n_groups: Any, event types, themes and channels.
        core: Whether each theme is a core theme, shape (n_themes,), `other` last.
        coherent: Which half-lives coherence is computed at.
        middle: Which half-life is the short memory.
        has_values: Whether values are summed.
        has_durations: Whether durations are.
        has_ranks: Whether ranks are looked at.
        recency: First row of each family's features in the output; −1 if it is off.
    """

    half_lives: Floats
    windows: Ints
    first_theme: int
    first_channel: int
    n_groups: int
    core: NDArray[np.bool_]
    coherent: Ints
    middle: int
    has_values: bool
    has_durations: bool
    has_ranks: bool
    recency: int
    last: int
    counts: int
    value: int
    consistency: int
    coherence: int
    breadth: int
    acceleration: int
    visits: int
    contents: int
    dormancy: int
    account: int
    lifecycle: int
