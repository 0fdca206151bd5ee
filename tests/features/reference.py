"""Every feature of one snapshot from its definition: slow, obvious, in plain Python.

Nothing here knows how the engine works; what it is told are rows, and it looks at all of them anew
for each snapshot.
"""

import cmath
import math
import statistics
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

from intentcast.features.seniority import rank

DAY = timedelta(days=1)
NAN = math.nan


class World:
    """The rows of a data set as lists of dicts, and what a featurizer learnt."""

    def __init__(self, dataset, featurizer):
        self.spec, self.themes = featurizer.spec, featurizer.themes
        self.leads = {row["lead_id"]: row for row in dataset.leads.iter_rows(named=True)}
        self.accounts = {row["account_id"]: row for row in dataset.accounts.iter_rows(named=True)}
        self.events = list(dataset.events.iter_rows(named=True))
        self.outcomes = list(dataset.outcomes.iter_rows(named=True))
        self.changes = list(dataset.attribute_changes.iter_rows(named=True))
        self.conversion = dataset.config.conversion
        for event in self.events:
            theme = self.themes.assign([event["content"]])[0]
            event["theme"] = None if theme < 0 else self.spec.theme_names[theme]


class View:
    """What was known of a lead and its account strictly before an as-of time."""

    def __init__(self, world, lead_id, as_of):
        self.world, self.lead_id, self.as_of = world, lead_id, as_of
        self.account = world.leads[lead_id]["account_id"]
        of_account = {n for n, row in world.leads.items() if row["account_id"] == self.account}
        self.team = [
            event | {"age": (as_of - event["occurred_at"]) / DAY}
            for event in world.events
            if event["known_at"] < as_of
            and not event["is_machine"]
            and event["lead_id"] in of_account
        ]
        self.own = [event for event in self.team if event["lead_id"] == lead_id]
        self.colleagues = [event for event in self.team if event["lead_id"] != lead_id]
        known = [row for row in world.outcomes if row["known_at"] < as_of]
        self.own_outcomes = [row for row in known if row["lead_id"] == lead_id]
        self.their_outcomes = [
            row for row in known if row["lead_id"] in of_account - {lead_id}
        ]  # fmt: skip

    def attribute(self, lead_id, name):
        """The value as known: the latest change, else the table's."""
        table, key = self.world.leads, lead_id
        if name not in table[lead_id]:
            table, key = self.world.accounts, table[lead_id]["account_id"]
        changes = [
            (row["recorded_at"], row["value"])
            for row in self.world.changes
            if (row["entity_id"], row["attribute"]) == (key, name)
            and row["recorded_at"] < self.as_of
        ]
        if changes:
            return max(changes, key=lambda change: change[0])[1]
        return table.get(key, {}).get(name)


def reference(world, lead_id, as_of):
    """Return every feature of the specification, by name."""
    view = View(world, lead_id, as_of)
    out = {}
    for family in (
        counted, valued, days, coherent, accelerated, visits, contents, silences, account, rhythm,
        outcomes, fit,
    ):  # fmt: skip
        found = dict(family(view, world.spec))
        assert not out.keys() & found.keys()
        out |= found
    return out


def unit(days):
    return f"{days:g}".replace(".", "_")


def faded(events, half_life, column=None):
    weights = [1.0 if column is None else event[column] for event in events]
    return math.fsum(
        weight * 2 ** (-event["age"] / half_life)
        for weight, event in zip(weights, events, strict=True)
        if weight is not None
    )


def youngest(ages):
    return min(ages, default=NAN)


def ratio(part, whole):
    return part / whole if whole else NAN


def groups(view, spec):
    """(Area, subject) and the lead's events of it."""
    yield ("engagement", "any"), view.own
    for area, column, learnt in (
        ("activity", "event_type", spec.event_types),
        ("channel", "channel", spec.channels),
    ):
        for name in learnt:
            yield (area, name), [event for event in view.own if event[column] == name]
        rest = [event for event in view.own if event[column] not in (*learnt, None)]
        yield (area, "other"), rest
    for name in spec.theme_names:
        yield ("theme", name), [event for event in view.own if event["theme"] == name]


def counted(view, spec):
    for (area, subject), events in groups(view, spec):
        for h in spec.half_lives_days:
            yield f"{area}.recency_weighted.{subject}.{unit(h)}d_halflife", faded(events, h)
        ages = [event["age"] for event in events]
        yield f"{area}.days_since_last.{subject}.days", youngest(ages)
        for w in spec.windows_days:
            yield f"{area}.count.{subject}.{w}d", sum(age <= w for age in ages)


def valued(view, spec):
    kinds = [("value", "value")] if spec.has_values else []
    kinds += [("duration", "duration_seconds")] if spec.has_durations else []
    for area, column in kinds:
        events = [event for event in view.own if event[column] is not None]
        for h in spec.half_lives_days:
            total = faded(events, h, column)
            yield f"{area}.recency_weighted.any.{unit(h)}d_halflife", total
        for w in spec.windows_days:
            recent = [event[column] for event in events if event["age"] <= w]
            yield f"{area}.sum.any.{w}d", sum(round(value * 1024) for value in recent) / 1024
        yield f"{area}.days_since_last.any.days", youngest(event["age"] for event in events)


def days(view, spec):
    for w in spec.windows_days:
        recent = {event["occurred_at"].date() for event in view.own if event["age"] <= w}
        yield f"engagement.active_days.any.{w}d", len(recent)
    active = sorted({event["occurred_at"].date() for event in view.own})
    today = (view.as_of - timedelta(microseconds=1)).date()
    mondays = {day - day.weekday() * DAY for day in active}
    since = today - today.weekday() * DAY - 7 * 7 * DAY
    yield "consistency.active_weeks.any.8w", sum(monday >= since for monday in mondays)

    def run(last):
        return next(n for n in range(len(active) + 1) if last - n * DAY not in active)

    reaches = active and active[-1] >= today - DAY
    yield "consistency.streak_current.any.run", run(active[-1]) if reaches else 0
    yield "consistency.streak_longest.any.run", max(map(run, active), default=0)
    gaps = [(b - a).days for a, b in pairwise(active)]
    mean = statistics.fmean(gaps) if gaps else NAN
    spread = statistics.pstdev(gaps) if len(gaps) > 1 else NAN
    late = (today - active[-1]).days if active else NAN
    yield "consistency.gap_mean.any.gap", mean
    yield "consistency.gap_variation.any.ratio", spread / mean
    yield "consistency.burstiness.any.ratio", (spread - mean) / (spread + mean)
    yield "consistency.overdue.any.ratio", late / mean


def short_memory(spec):
    return min(spec.half_lives_days, key=lambda h: abs(h - 14))


def coherent(view, spec):
    themed = [event for event in view.own if event["theme"] is not None]
    core = {
        slug
        for theme, slug in zip(spec.themes, spec.theme_names, strict=False)
        if theme in spec.core_themes
    }

    def shares(half_life):
        whole = faded(themed, half_life)
        return {
            name: ratio(faded([e for e in themed if e["theme"] == name], half_life), whole)
            for name in spec.theme_names
        }

    for h in {short_memory(spec), spec.half_lives_days[-1]}:
        p, ending = shares(h), f"{unit(h)}d_halflife"
        parts = [-share * math.log(share) for share in p.values() if share]
        yield f"coherence.entropy.any.{ending}", math.fsum(parts) if themed else NAN
        yield f"coherence.top_share.any.{ending}", max(p.values())
        if core:
            yield f"coherence.core_share.any.{ending}", sum(p[name] for name in core)
    ending = f"{unit(short_memory(spec))}d_halflife"
    for name, share in shares(short_memory(spec)).items():
        yield f"coherence.share.{name}.{ending}", share
    for w in spec.windows_days:
        named = {event["theme"] for event in themed if event["age"] <= w}
        yield f"coherence.breadth.any.{w}d", len(named & set(spec.theme_names[:-1]))


def accelerated(view, spec):
    ladder = spec.half_lives_days

    def compared(events, short, long):
        return f"{unit(short)}d_over_{unit(long)}d", ratio(
            faded(events, short), faded(events, long)
        )

    for short, long in pairwise(ladder):
        ending, value = compared(view.own, short, long)
        yield f"acceleration.short_over_long.any.{ending}", value
    if short_memory(spec) == ladder[-1]:
        return
    for (area, subject), events in groups(view, spec):
        if area in ("activity", "theme"):
            ending, value = compared(events, short_memory(spec), ladder[-1])
            yield f"acceleration.{area}_short_over_long.{subject}.{ending}", value


def as_told(events):
    """Moments of occurrence in the order in which they became known."""
    times = sorted((event["known_at"], event["occurred_at"]) for event in events)
    return [occurred for _, occurred in times]


def visits(view, spec):
    for (area, subject), events in groups(view, spec):
        if area == "channel":
            continue
        n, latest = 0, None
        for occurred in as_told(events):
            if latest is None or occurred - latest > timedelta(minutes=30):
                n += 1
            latest = occurred if latest is None else max(latest, occurred)
        yield f"escalation.{area}_visits.{subject}.visits", n


def contents(view, spec):
    looks = [event for event in view.own if event["content"] is not None]

    def is_revisit(event):
        return any(
            other["content"] == event["content"]
            and other["known_at"] <= event["known_at"]
            and timedelta(0) < event["occurred_at"] - other["occurred_at"] <= 7 * DAY
            for other in looks
        )

    for w in spec.windows_days:
        recent = [event for event in looks if event["age"] <= w]
        times = Counter(event["content"] for event in recent)
        yield f"engagement.distinct_content.any.{w}d", len(times)
        yield f"escalation.revisits.any.{w}d", sum(map(is_revisit, recent))
        yield f"escalation.most_repeated.any.{w}d", max(times.values(), default=0)


def silences(view, _spec):
    broken, latest = [], None
    for occurred in as_told(view.own):
        if latest is not None and occurred - latest >= 14 * DAY:
            broken.append((occurred - latest, occurred))
        latest = occurred if latest is None else max(latest, occurred)
    length, restart = broken[-1] if broken else (timedelta(0), None)
    yield "dormancy.silence_broken.any.gap", length / DAY
    since = (view.as_of - restart) / DAY if restart else NAN
    yield "dormancy.since_restart.any.days", since
    yield "dormancy.restarts.any.count", len(broken)


def people(events, window):
    return {event["lead_id"] for event in events if event["age"] <= window}


def account(view, spec):
    if not spec.has_accounts:
        return
    for w in spec.windows_days:
        yield f"account.people_engaged.any.{w}d", len(people(view.team, w))
    for name in ("any", *spec.theme_names):
        events = [event for event in view.colleagues if name in ("any", event["theme"])]
        for h in spec.half_lives_days:
            ending = f"{unit(h)}d_halflife"
            yield f"account.colleagues_recency_weighted.{name}.{ending}", faded(events, h)
    who = {}
    for event in view.team:
        if event["content"] is not None and event["age"] <= 14:
            who.setdefault(event["content"], set()).add(event["lead_id"])
    shared = [viewers for viewers in who.values() if len(viewers) > 1]
    yield "account.shared_content.any.14d", len(shared)
    yield "account.shared_content.own.14d", sum(view.lead_id in viewers for viewers in shared)
    if spec.seniority:
        ranks = {
            person: rank(view.attribute(person, spec.seniority)) for person in people(view.team, 90)
        }
        for w in (30, 90):
            seniors = [person for person in people(view.team, w) if ranks[person] >= 3]
            yield f"account.senior_people.any.{w}d", len(seniors)
        yield "account.top_rank.any.90d", max(ranks.values(), default=0)
    conversion = view.world.conversion
    won = [row for row in view.their_outcomes if row["outcome"] in conversion.outcomes]
    lost = [row for row in view.their_outcomes if row["outcome"] in conversion.closing]
    yield "account.colleagues_won.any.count", len(won)
    yield "account.colleagues_lost.any.count", len(lost)
    ages = [(view.as_of - row["occurred_at"]) / DAY for row in won]
    yield "account.since_colleague_won.any.days", youngest(ages)


def rhythm(view, _spec):
    def regularity(parts, of):
        turns = [cmath.exp(2j * math.pi * part / of) for part in parts]
        return abs(sum(turns)) / len(turns) if len(turns) > 1 else NAN

    times = [event["occurred_at"] for event in view.own]
    created = view.world.leads[view.lead_id]["created_at"]
    assert isinstance(created, datetime)
    yield "lifecycle.age.lead.days", (view.as_of - created) / DAY
    known = [(view.as_of - event["known_at"]) / DAY for event in view.own]
    yield "lifecycle.age.first_event.days", max(known, default=NAN)
    hours = regularity([time.hour for time in times], 24)
    yield "lifecycle.hour_regularity.any.ratio", hours
    weekdays = regularity([time.weekday() for time in times], 7)
    yield "lifecycle.weekday_regularity.any.ratio", weekdays


def outcomes(view, _spec):
    conversion = view.world.conversion
    won = [row for row in view.own_outcomes if row["outcome"] in conversion.outcomes]
    neither = (*conversion.outcomes, *conversion.closing)
    returned = [row for row in view.own_outcomes if row["outcome"] not in neither]
    for kind, rows in (("conversion", won), ("return", returned)):
        yield f"lifecycle.earlier_{kind}s.lead.count", len(rows)
        ages = [(view.as_of - row["occurred_at"]) / DAY for row in rows]
        yield f"lifecycle.since_{kind}.lead.days", youngest(ages)


def fit(view, spec):
    for name in spec.numeric:
        value = view.attribute(view.lead_id, name)
        yield f"fit.value.{name}.number", NAN if value is None else float(value)
    for name, levels in spec.levels:
        value = view.attribute(view.lead_id, name)
        for level in levels:
            ending = level.lower().replace(" ", "_")
            yield f"fit.is.{name}_{ending}.flag", float(value == level)
        yield f"fit.is.{name}_other.flag", float(value not in (*levels, None))
