"""The walk over a lead's history that earns behaviour points: one for batches and single leads.

Every snapshot is computed alone, from the lead's events in the order in which they became known,
so the same history gives the same points in any batch, alone, and for any other snapshots beside
it. Where no rule asks for an age, a lead's next moment goes on from where its last one ended: the
same sums in the same order. All points are whole thousandths and each contribution is rounded to
one before it is added: sums are exact in any order. The walk releases the interpreter's lock.

Worked example (its dates are a test), with `reset_days = 90`: a lead is active on 1 January and
then on 10 May. On 1 April, after 90 days, its behaviour was reset: from then on it has no points,
and the activity on 10 May starts a second epoch from 0. A view of 20 December that becomes known
only on 11 May happened before the silence, so it is forgotten as well.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from intentcast.scorecards.decay import DAY_US, HALVES, KEEPS, LINEAR

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Flags = NDArray[np.bool_]

NEVER = -(2**62)
NO_LIMIT = 2**62
# Ways to count: each match, the n-th match of the lead or of a content, by age, by how many people
# of the account, until answered.
EVERY, NTH, NTH_OF_CONTENT, BANDS, PEOPLE, UNTIL = 0, 1, 2, 3, 4, 5
# Columns of what a rule comes to.
N, RAW, CUT, LOST = 0, 1, 2, 3
SECOND_US = 1_000_000


class Rules(NamedTuple):
    """The behaviour rules; arrays of shape (n_rules,) unless said otherwise.

    Attributes:
        points: Thousandths, weight included.
        way: How matches are counted.
        nth: Which match earns.
        window: Microseconds up to which a match counts; `NO_LIMIT`.
        fading: Kind, length and speed of the decay of matches, shape (n_rules, 3).
        group: Number of its group, −1 for none.
        companion: Row of `Events.shared_known` of a rule about people, −1 for others.
        first_band: Where the rule's bands begin, shape (n_rules + 1,).
        bands: Microseconds, number of matches and thousandths of each band, shape (n_bands, 3).
        group_cap: Thousandths, shape (n_groups,); `NO_LIMIT`.
        reset: Microseconds of silence that end an epoch; `NO_LIMIT`.
    """

    points: Ints
    way: Ints
    nth: Ints
    window: Ints
    fading: Ints
    group: Ints
    companion: Ints
    first_band: Ints
    bands: Ints
    group_cap: Ints
    reset: int


class Signatures(NamedTuple):
    """What events of the same signature mean to the rules.

    Attributes:
        first_rule: Where the rules that it matches begin in `rules`, shape (n_signatures + 1,).
        rules: Rising for each signature.
        first_answer: Likewise, of the rules that it answers.
        answers: Rules with `until`.
        opts_out: Whether it puts a lead out.
        is_immediate: Whether it makes a lead hot at once.
    """

    first_rule: Ints
    rules: Ints
    first_answer: Ints
    answers: Ints
    opts_out: Flags
    is_immediate: Flags


class Events(NamedTuple):
    """Human events by lead; those of a lead by when they became known, activity before opt-outs.

    Attributes:
        bounds: Where each lead's events begin, shape (n_leads + 1,).
        known: Microseconds.
        occurred: Microseconds.
        signature: Its number.
        content: Its number, −1 for none; same number, same content.
        daily_type: Number of its event type in `daily_cap`, −1 for none; empty without daily caps.
        daily_cap: Thousandths a day per event type.
        shared_known: Per rule about people: when it became known that enough people of the account
            had met the event's content, shape (n_people_rules, n_events); `NO_LIMIT` for never.
        shared_occurred: When the one that was enough occurred.
    """

    bounds: Ints
    known: Ints
    occurred: Ints
    signature: Codes
    content: Codes
    daily_type: Codes
    daily_cap: Ints
    shared_known: Ints
    shared_occurred: Ints


class Moments(NamedTuple):
    """Whose points are asked for, and when; arrays of shape (n,).

    Attributes:
        lead: Its number.
        known_before: Only what was known strictly before this counts.
        now: Ages and silences are as of this instant, never before `known_before`.
        switch: Row of `is_on` of the lead's attributes then.
        is_on: Whether each rule is there, shape (n_switches, n_rules).
    """

    lead: Ints
    known_before: Ints
    now: Ints
    switch: Ints
    is_on: Flags


class Walked(NamedTuple):
    """What the walk finds; arrays of shape (n,), points in thousandths.

    Attributes:
        earned: Sum over rules after daily caps and the decay of matches.
        grouped: The same after the caps of groups.
        last_activity: Occurrence of the latest activity; `NEVER` without any.
        epoch: How often a silence has reset behaviour; −1 without any event.
        is_immediate: Whether an event made the lead hot at once.
        is_out: Whether it opted out.
        of_rules: Per rule its number of awards, their points, what daily caps took and what decay
            took, shape (n, n_rules, 4); n = 0 where nobody asked.
    """

    earned: Ints
    grouped: Ints
    last_activity: Ints
    epoch: Ints
    is_immediate: Flags
    is_out: Flags
    of_rules: Ints


def walk(
    rules: Rules, signatures: Signatures, events: Events, moments: Moments, *, by_rule: bool
) -> Walked:
    """Return behaviour points at each moment, before the card's cap and decay by silence.

    Args:
        rules: The card's.
        signatures: Of the events.
        events: Histories.
        moments: Whose points, and when.
        by_rule: Whether to tell rules apart, as ledgers need it.
    """
    n, n_rules = len(moments.lead), len(rules.points)
    out = Walked(
        earned=np.zeros(n, dtype=np.int64),
        grouped=np.zeros(n, dtype=np.int64),
        last_activity=np.zeros(n, dtype=np.int64),
        epoch=np.zeros(n, dtype=np.int64),
        is_immediate=np.zeros(n, dtype=np.bool_),
        is_out=np.zeros(n, dtype=np.bool_),
        of_rules=np.zeros((n if by_rule else 0, n_rules, 4), dtype=np.int64),
    )
    _walk(rules, signatures, events, moments, out)
    return out


@njit(cache=True, nogil=True)
def _faded(points: int, age: int, fading: Ints, r: int) -> int:
    """Return what is left of a rule's points after an age in seconds, halves rounded up."""
    kind, length = fading[r, 0], fading[r, 1]
    if kind == LINEAR:
        left = length - fading[r, 2] * age
        if left <= 0:
            return 0
        return int((2 * points * left + length) // (2 * length))
    if kind == HALVES:
        return int(np.floor(points * 2.0 ** (-age / length) + 0.5))
    return points


@njit(cache=True, nogil=True)
def _award(total: Ints, points: int, fading: Ints, r: int, age: int) -> None:
    """Add a rule's points once, as faded at an age in microseconds."""
    total[r, N] += 1
    total[r, RAW] += points
    total[r, LOST] += _faded(points, age // SECOND_US, fading, r) - points


@njit(cache=True, nogil=True)
def _slot(key: int, keys: Ints, stamps: Ints, stamp: int, mask: int) -> int:
    """Return the place of a key in a table whose entries of other stamps are free."""
    at = ((key * 0x9E3779B97F4A7C1) >> 17) & mask
    while stamps[at] == stamp and keys[at] != key:
        at = (at + 1) & mask
    return at


@njit(cache=True, nogil=True)
def _walk(
    rules: Rules, signatures: Signatures, events: Events, moments: Moments, out: Walked
) -> None:
    fading = rules.fading
    n_rules, n_bands, n_groups = len(rules.points), len(rules.bands), len(rules.group_cap)
    has_daily = len(events.daily_type) > 0
    needs_table = has_daily
    for r in range(n_rules):
        if rules.way[r] in (NTH_OF_CONTENT, PEOPLE, UNTIL):
            needs_table = True
    widest = 1
    for s in range(len(signatures.opts_out)):
        met = signatures.first_rule[s + 1] - signatures.first_rule[s]
        answered = signatures.first_answer[s + 1] - signatures.first_answer[s]
        widest = max(widest, met + answered + 1)
    is_ageless = True
    for r in range(n_rules):
        has_window = rules.window[r] < NO_LIMIT or rules.way[r] in (BANDS, PEOPLE)
        is_ageless = is_ageless and not has_window and fading[r, 0] == KEEPS
    longest = 0
    for i in range(len(moments.lead)):
        lead = moments.lead[i]
        longest = max(longest, events.bounds[lead + 1] - events.bounds[lead])
    size = 2
    while needs_table and size < 2 * longest * widest:
        size *= 2
    # A table of what was counted per content or day, used anew, by a new stamp, for each epoch.
    keys, stamps = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    counted, since_of = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    answered_at, waiting = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    stamp = 0
    running, total = np.zeros((n_rules, 4), np.int64), np.zeros((n_rules, 4), np.int64)
    matched, latest = np.zeros(n_rules, dtype=np.int64), np.zeros(n_rules, dtype=np.int64)
    in_band = np.zeros(n_bands, dtype=np.int64)
    of_group = np.zeros(n_groups, dtype=np.int64)
    n_waiting, reached = 0, 0
    active, silent_since, epoch, before = NEVER, NEVER, -1, NEVER
    is_immediate, is_out = False, False
    for i in range(len(moments.lead)):
        lead, now, limit = moments.lead[i], moments.now[i], moments.known_before[i]
        is_on = moments.is_on[moments.switch[i]]
        first, last = events.bounds[lead], events.bounds[lead + 1]
        mask = 1
        while needs_table and mask < 2 * (last - first) * widest:
            mask *= 2
        mask -= 1
        is_later = lead == moments.lead[i - 1] and limit >= moments.known_before[i - 1]
        is_same = is_later and moments.switch[i] == moments.switch[i - 1]
        if i == 0 or not is_ageless or not is_same:
            running[:] = 0
            matched[:], latest[:] = 0, NEVER
            in_band[:] = 0
            stamp += 1
            n_waiting, reached = 0, first
            active, silent_since, epoch, before = NEVER, NEVER, -1, NEVER
            is_immediate, is_out = False, False
        for e in range(reached, last):
            known, occurred = events.known[e], events.occurred[e]
            if known >= limit:
                break
            reached = e + 1
            s = events.signature[e]
            epoch = max(epoch, 0)
            if signatures.opts_out[s]:
                is_out = True
            else:
                moment = occurred if known == before else known
                if active != NEVER and moment - active >= rules.reset:
                    epoch += 1
                    silent_since = active
                    running[:] = 0
                    matched[:], latest[:] = 0, NEVER
                    in_band[:] = 0
                    stamp += 1
                    n_waiting = 0
                    is_immediate = False
                active = max(active, occurred)
            before = known
            if occurred <= silent_since:
                continue
            if signatures.is_immediate[s]:
                is_immediate = True
            content = np.int64(events.content[e]) + 1
            for j in range(signatures.first_answer[s], signatures.first_answer[s + 1]):
                r = signatures.answers[j]
                key = ((r + 1) << 40) | content
                at = _slot(key, keys, stamps, stamp, mask)
                if stamps[at] != stamp:
                    stamps[at], keys[at] = stamp, key
                    counted[at], answered_at[at], since_of[at] = 0, NEVER, NEVER
                    waiting[n_waiting] = at
                    n_waiting += 1
                answered_at[at] = max(answered_at[at], occurred)
            start = signatures.first_rule[s]
            for j in range(start, signatures.first_rule[s + 1]):
                r = signatures.rules[j]
                if not is_on[r]:
                    continue
                group = rules.group[r]
                is_taken = False
                if group >= 0:
                    for k in range(start, j):
                        other = signatures.rules[k]
                        if rules.group[other] == group and is_on[other]:
                            is_taken = True
                way = rules.way[r]
                # What is past the window still takes its place under the cap of its day: else
                # points would come back when an earlier event of the day leaves the window.
                is_past = now - occurred > rules.window[r]
                if is_taken or (is_past and (way != EVERY or not has_daily)):
                    continue
                since = occurred
                if way == BANDS:
                    for b in range(rules.first_band[r], rules.first_band[r + 1]):
                        if now - occurred <= rules.bands[b, 0]:
                            in_band[b] += 1
                    continue
                if way == NTH:
                    matched[r] += 1
                    if matched[r] == rules.nth[r] or rules.window[r] < NO_LIMIT:
                        latest[r] = max(latest[r], occurred)
                    continue
                if way != EVERY:
                    if way == PEOPLE:
                        shared = events.shared_known[rules.companion[r], e]
                        if content == 0 or shared >= limit:
                            continue
                        since = max(since, events.shared_occurred[rules.companion[r], e])
                    key = ((r + 1) << 40) | content
                    at = _slot(key, keys, stamps, stamp, mask)
                    if stamps[at] != stamp:
                        stamps[at], keys[at] = stamp, key
                        counted[at], answered_at[at], since_of[at] = 0, NEVER, NEVER
                        waiting[n_waiting] = at
                        n_waiting += 1
                    counted[at] += 1
                    is_due = counted[at] == rules.nth[r] or rules.window[r] < NO_LIMIT
                    if is_due or way == UNTIL:
                        since_of[at] = max(since_of[at], since)
                    continue
                points = rules.points[r]
                granted = points
                if has_daily and points > 0 and events.daily_type[e] >= 0:
                    of_type = events.daily_type[e]
                    key = ((n_rules + 1 + of_type) << 40) | (occurred // DAY_US)
                    at = _slot(key, keys, stamps, stamp, mask)
                    if stamps[at] != stamp:
                        stamps[at], keys[at], counted[at] = stamp, key, 0
                    granted = min(points, events.daily_cap[of_type] - counted[at])
                    counted[at] += granted
                if is_past:
                    continue
                running[r, N] += 1
                running[r, RAW] += points
                running[r, CUT] += granted - points
                if fading[r, 0] != KEEPS:
                    age = (now - since) // SECOND_US
                    running[r, LOST] += _faded(granted, age, fading, r) - granted
        total[:] = running
        for w in range(n_waiting):
            at = waiting[w]
            r = (keys[at] >> 40) - 1
            if counted[at] >= rules.nth[r] and since_of[at] > answered_at[at]:
                _award(total, rules.points[r], fading, r, now - since_of[at])
        for r in range(n_rules):
            if rules.way[r] == NTH and matched[r] >= rules.nth[r]:
                _award(total, rules.points[r], fading, r, now - latest[r])
        of_group[:] = 0
        earned, grouped = 0, 0
        for r in range(n_rules):
            for b in range(rules.first_band[r], rules.first_band[r + 1]):
                if in_band[b] >= rules.bands[b, 1]:
                    total[r, N] = 1
                    total[r, RAW] = rules.bands[b, 2]
                    break
            whole = total[r, RAW] + total[r, CUT] + total[r, LOST]
            earned += whole
            if rules.group[r] >= 0:
                of_group[rules.group[r]] += whole
            else:
                grouped += whole
            if len(out.of_rules):
                out.of_rules[i, r] = total[r]
        for g in range(n_groups):
            grouped += min(of_group[g], rules.group_cap[g])
        out.earned[i], out.grouped[i] = earned, grouped
        out.last_activity[i], out.epoch[i] = active, epoch
        out.is_immediate[i], out.is_out[i] = is_immediate, is_out
