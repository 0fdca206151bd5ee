"""Engagement histories of any size as a data set folder, for measuring time and memory alone.

    python tests/benchmarks/engagement_data.py DIR --events 10_000_000

Made week by week, so memory does not grow with the number of events; the same arguments give the
same tables. Rows are in order of occurrence across all leads, as an export has them, not by lead.
Nothing here says how buyers behave (`intentcast simulate` does): it has the shapes that make the
work hard. Leads differ by orders of magnitude (lognormal), weeks of an account are quiet or busy
(gamma), events come in sessions, some are recorded late, and some opens are machines'.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

Ints = NDArray[np.int64]

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 548
FIRST_AS_OF_DAY, EVERY_DAYS, N_AS_OF = 210, 30, 12
DAY_MS, WEEK_DAYS = 86_400_000, 7
LEADS_PER_EVENT = 0.02
ROW_GROUP = 250_000

EVENT_TYPES = {
    "page_view": 0.46,
    "email_open": 0.16,
    "email_click": 0.07,
    "chat_message": 0.06,
    "ad_click": 0.05,
    "content_download": 0.05,
    "call": 0.05,
    "product_used": 0.045,
    "form_submitted": 0.03,
    "webinar_attended": 0.025,
}
CHANNELS = ("web", "email", "paid", "sales")
CHANNEL_OF = {"email_open": 1, "email_click": 1, "ad_click": 2, "call": 3}
WITHOUT_CONTENT = ("chat_message", "call", "product_used", "ad_click")
WITH_DURATION = ("page_view", "chat_message", "call", "webinar_attended")
WITH_VALUE = ("product_used", "form_submitted")
THEMES = {
    "pricing": "price plan cost quote",
    "integration": "connector sync api",
    "security": "audit encryption compliance",
    "analytics": "dashboard metric reporting",
    "automation": "workflow trigger routing",
    "onboarding": "setup checklist migration",
    "support": "ticket helpdesk response",
    "mobile": "phone tablet offline",
    "customers": "story interview reference",
    "careers": "job team hiring",
}
KINDS = [
    "guide",
    "overview",
    "tutorial",
    "webinar",
    "paper",
    "comparison",
    "questions",
    "examples",
    "template",
    "calculator",
    "announcement",
    "handbook",
]
TOML = """name = "engagement"
[conversion]
outcomes = ["order"]
recurring = true
horizons_days = [30]
[cohort]
rule = "open"
every_days = {every}
start = {first:%Y-%m-%d}
end = {last:%Y-%m-%d}
[attributes]
numeric = ["employee_count"]
categorical = ["industry", "seniority", "source"]
[themes]
core = ["pricing", "integration"]
[themes.seeds]
{seeds}
"""


@dataclass(frozen=True)
class People:
    """Who can act: the account, rate, first day and favourite theme of each lead."""

    account: Ints
    rate: NDArray[np.float64]
    first_day: NDArray[np.float64]
    theme: Ints
    in_company: NDArray[np.bool_]


def as_of_times() -> list[datetime]:
    """Return the twelve as-of times, thirty days apart, at which every lead is scored."""
    return [START + timedelta(days=FIRST_AS_OF_DAY + EVERY_DAYS * i) for i in range(N_AS_OF)]


def titles() -> list[str]:
    """Return the 120 titles, theme by theme."""
    return [
        f"{theme.title()} {kind}: {words.split()[i % len(words.split())]}"
        for theme, words in THEMES.items()
        for i, kind in enumerate(KINDS)
    ]


def draw_people(n_leads: int, seed: int) -> People:
    """Three of five leads share an account with one to seven others; the rest have none."""
    rng = np.random.default_rng([seed, 0])
    n_shared = int(n_leads * 0.6)
    sizes = rng.integers(2, 9, size=n_shared // 2 + 1)
    of_shared = np.repeat(np.arange(len(sizes)), sizes)[:n_shared]
    if n_shared > 1 and of_shared[-1] != of_shared[-2]:
        of_shared[-1] = of_shared[-2]
    n_accounts = int(of_shared[-1]) + 1 if n_shared else 0
    alone = np.arange(n_accounts, n_accounts + n_leads - n_shared)
    shuffled = rng.permutation(n_leads)
    account = np.concatenate([of_shared, alone])[shuffled]
    return People(
        account=account.astype(np.int64),
        rate=rng.lognormal(0.0, 1.1, n_leads),
        first_day=rng.uniform(0, FIRST_AS_OF_DAY - 10, n_leads),
        theme=rng.choice(len(THEMES), n_leads, p=_falling(len(THEMES))),
        in_company=account < n_accounts,
    )


def _falling(n: int) -> NDArray[np.float64]:
    weights = 1.0 / np.arange(2, n + 2)
    return np.asarray(weights / weights.sum())


def _sessions(
    people: People, week: int, n_events: int, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Return lead and millisecond of each event of one week, in order of time."""
    n_accounts = int(people.account.max()) + 1
    busy = rng.gamma(0.25, size=n_accounts) + 1e-4
    day = week * WEEK_DAYS
    days = min(WEEK_DAYS, DAYS - day)
    has_begun = np.clip((day + days - people.first_day) / WEEK_DAYS, 0.0, 1.0) + 1e-9
    cumulative = np.cumsum(people.rate * busy[people.account] * has_begun)
    n_sessions = n_events // 2 + 1
    lead = np.searchsorted(cumulative, rng.random(n_sessions) * cumulative[-1])
    length = rng.geometric(1 / 3, size=n_sessions)
    # As many as asked for: what geometric lengths miss is added one by one.
    spare = n_events - int(length.sum())
    if spare > 0:
        length += np.bincount(rng.integers(0, n_sessions, spare), minlength=n_sessions)
    weekday = rng.choice(7, n_sessions, p=np.array([19, 20, 20, 19, 14, 4, 4]) / 100) % days
    hour = rng.normal(13.0, 3.5, n_sessions) % 24
    begins = np.maximum(day + weekday + hour / 24, people.first_day[lead]) * DAY_MS
    steps = rng.exponential(80_000.0, size=int(length.sum()))
    inside = np.cumsum(steps)
    firsts = np.concatenate([[0], np.cumsum(length)[:-1]])
    inside -= np.repeat(inside[firsts], length)
    at = np.minimum(np.repeat(begins, length) + inside, (day + days) * DAY_MS - 1)
    keep = np.sort(rng.permutation(len(at))[:n_events])
    order = keep[np.argsort(at[keep], kind="stable")]
    return np.repeat(lead, length)[order].astype(np.int64), at[order].astype(np.int64)


def _frame(
    people: People, lead: Ints, at: Ints, first_id: int, rng: np.random.Generator
) -> pl.DataFrame:
    """Return one row group: what the events of these leads at these times were."""
    n = len(lead)
    names = list(EVENT_TYPES)
    kind = rng.choice(len(names), n, p=list(EVENT_TYPES.values()))
    usual = np.array([CHANNEL_OF.get(name, 0) for name in names])[kind]
    channel = np.where(rng.random(n) < 0.1, rng.integers(0, len(CHANNELS), n), usual)
    theme = np.where(rng.random(n) < 0.6, people.theme[lead], rng.integers(0, len(THEMES), n))
    content = theme * len(KINDS) + rng.choice(len(KINDS), n, p=_falling(len(KINDS)))
    lag = np.where(rng.random(n) < 0.05, 3.0 * DAY_MS, 40_000.0) * rng.exponential(size=n)
    index = pl.Series(np.arange(first_id, first_id + n))

    def is_one_of(group: tuple[str, ...]) -> NDArray[np.bool_]:
        return np.isin(kind, [names.index(name) for name in group])

    frame = pl.DataFrame(
        {
            "event_id": "e" + index.cast(pl.String).str.zfill(10),
            "lead_id": lead_ids(lead),
            "occurred_at": _instants(at),
            "recorded_at": _instants(at + lag.astype(np.int64)),
            "event_type": pl.Series(names).gather(kind),
            "channel": pl.Series(CHANNELS).gather(channel),
            "content": pl.Series(titles()).gather(content),
            "value": np.round(rng.lognormal(3.0, 1.0, n), 2),
            "duration_seconds": np.round(rng.lognormal(4.0, 1.0, n), 1),
            "is_machine": (kind == names.index("email_open")) & (rng.random(n) < 0.12),
        }
    )
    absent = {
        "recorded_at": rng.random(n) < 0.15,
        "channel": rng.random(n) < 0.04,
        "content": is_one_of(WITHOUT_CONTENT),
        "value": ~is_one_of(WITH_VALUE),
        "duration_seconds": ~is_one_of(WITH_DURATION),
        "is_machine": rng.random(n) < 0.2,
    }
    return frame.with_columns(
        pl.when(~pl.Series(mask)).then(pl.col(name)).alias(name) for name, mask in absent.items()
    )


def lead_ids(lead: Ints) -> pl.Series:
    """Return the identifiers of leads by number."""
    return "L" + pl.Series(lead).cast(pl.String).str.zfill(8)


def _instants(ms: Ints) -> pl.Series:
    micros = pl.Series(ms * 1000 + int(START.timestamp()) * 1_000_000)
    return micros.cast(pl.Datetime("us", "UTC"))


def _row_groups(people: People, n_events: int, seed: int) -> Iterator[pl.DataFrame]:
    n_weeks = -(-DAYS // WEEK_DAYS)
    edges = np.linspace(0, n_events, n_weeks + 1).astype(np.int64)
    for week in range(n_weeks):
        rng = np.random.default_rng([seed, 1, week])
        n_here = int(edges[week + 1] - edges[week])
        if not n_here:
            continue
        lead, at = _sessions(people, week, n_here, rng)
        for start in range(0, n_here, ROW_GROUP):
            stop = min(start + ROW_GROUP, n_here)
            yield _frame(people, lead[start:stop], at[start:stop], int(edges[week]) + start, rng)


def write_engagement(folder: Path, *, n_events: int, n_leads: int, seed: int = 7) -> None:
    """Write leads, accounts, events, outcomes and `dataset.toml`.

    Args:
        folder: Made if absent; files there are replaced.
        n_events: Rows of events, exactly.
        n_leads: Rows of leads; each is scored at each as-of time.
        seed: Of everything drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    people = draw_people(n_leads, seed)
    writer = None
    for frame in _row_groups(people, n_events, seed):
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        writer = writer or pq.ParquetWriter(
            folder / "events.parquet", table.schema, compression="zstd", store_schema=False
        )
        writer.write_table(table, row_group_size=ROW_GROUP)
    if writer:
        writer.close()
    _write_entities(folder, people, seed)
    times = as_of_times()
    seeds = "\n".join(f'{name} = "{phrase}"' for name, phrase in THEMES.items())
    text = TOML.format(every=EVERY_DAYS, first=times[0], last=times[-1], seeds=seeds)
    (folder / "dataset.toml").write_text(text, encoding="utf-8")


def _write_entities(folder: Path, people: People, seed: int) -> None:
    rng = np.random.default_rng([seed, 2])
    n = len(people.account)
    numbers = np.arange(n)

    def pick(values: str, size: int) -> pl.Series:
        return pl.Series(values.split()).gather(rng.integers(0, len(values.split()), size))

    account = "A" + pl.Series(people.account).cast(pl.String).str.zfill(8)
    leads = pl.DataFrame(
        {
            "lead_id": lead_ids(numbers),
            "created_at": _instants((people.first_day * DAY_MS).astype(np.int64)),
            "account_id": account,
            "seniority": pick("junior manager director executive", n),
            "source": pick("organic paid event referral outbound partner", n),
        }
    ).with_columns(pl.when(pl.Series(people.in_company)).then("account_id").alias("account_id"))
    leads.write_parquet(folder / "leads.parquet")
    accounts = leads.select("account_id").drop_nulls().unique().sort("account_id")
    accounts.with_columns(
        employee_count=pl.Series(rng.lognormal(4.5, 1.5, len(accounts)).astype(np.int64) + 1),
        industry=pick("software retail finance health industry media public", len(accounts)),
    ).write_parquet(folder / "accounts.parquet")
    ordering = np.sort(rng.choice(n, n // 50 + 1, replace=False))
    latest = np.full(len(ordering), DAYS * DAY_MS - 1)
    moment = rng.uniform(people.first_day[ordering] * DAY_MS, latest).astype(np.int64)
    pl.DataFrame(
        {
            "lead_id": lead_ids(ordering),
            "occurred_at": _instants(moment),
            "outcome": ["order"] * len(ordering),
        }
    ).write_parquet(folder / "outcomes.parquet")


def main() -> None:
    """Write a data set of the size asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--leads", type=int, help="default: one per fifty events")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    n_leads = given.leads or max(1, int(given.events * LEADS_PER_EVENT))
    write_engagement(given.folder, n_events=given.events, n_leads=n_leads, seed=given.seed)
    sys.stdout.write(f"{given.events:,} events of {n_leads:,} leads in {given.folder}\n")


if __name__ == "__main__":
    main()
