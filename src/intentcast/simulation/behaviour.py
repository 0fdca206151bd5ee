"""What leads do on the web site: visits whose intensity and themes follow the buying state."""

from typing import Final

import numpy as np
import numpy.typing as npt

from intentcast.simulation.acquisition import SOURCES, Leads
from intentcast.simulation.buying import State
from intentcast.simulation.catalogue import CATALOGUE, KINDS, THEMES, item_code
from intentcast.simulation.clock import DAY, N_DAYS, office_second, weekday_activity
from intentcast.simulation.events import TYPE_CODE, Events, concat_events, make_events
from intentcast.simulation.interest import draw_items, draw_themes, kind_codes, theme_mix
from intentcast.simulation.people import People, Persona

Codes = npt.NDArray[np.int64]

# Visits per day and items per visit beyond the first, by state of the account.
_VISITS: Final = (0.004, 0.045, 0.130, 0.220, 0.0015, 0.0015, 0.0015, 0.0, 0.0)
_MORE_ITEMS: Final = (0.6, 1.0, 1.6, 2.0, 0.4, 0.4, 0.4, 0.4, 0.4)
_STUDENT_VISITS: Final = 0.13  # for a term, then hardly ever
_STUDENT_DAYS: Final = 75
_COMPETITOR_VISITS: Final = 0.05
_OUTSIDER_MORE_ITEMS: Final = 1.8

# Some people read a lot for a while for reasons of their own, without a purchase behind it.
_SPELL_RATE: Final = 0.0016
_SPELL_DAYS: Final = 14
_SPELL_VISITS: Final = 0.16
_SPELL_PRETENDS: Final = (State.AWARENESS, State.AWARENESS, State.CONSIDERATION)

# Chance that a form reached is also sent, by state of the account.
_SUBMITS: Final = (0.20, 0.25, 0.45, 0.60, 0.15, 0.15, 0.15, 0.15, 0.15)
# Chance that a download asks for a form and gets it: earnest readers leave their details.
_GATED: Final = (0.12, 0.25, 0.45, 0.55, 0.12, 0.12, 0.12, 0.12, 0.12)
# Chance to attend after signing up, by state of the account on the day of the signup.
_ATTENDS: Final = (0.38, 0.45, 0.55, 0.55, 0.30, 0.30, 0.30, 0.30, 0.30)

_WEBINAR_EVERY_DAYS: Final = 14
_WEBINAR_START: Final = 2 * DAY + 14 * 3600  # every second Wednesday, 14:00
_TYPE_OF_KIND: Final = {
    "page": "page_view",
    "document": "document_view",
    "download": "content_download",
    "webinar": "webinar_signup",
    "form": "form_reached",
    "demo": "demo_request",
    "email": "email_open",  # never drawn on the site
}


def visit_site(
    leads: Leads, people: People, *, paths: npt.NDArray[np.int8], rng: np.random.Generator
) -> Events:
    """All visits of all leads, with what follows from them (forms sent, webinars attended)."""
    lead, day, pretended = _visits(leads, people, paths=paths, rng=rng)
    state = np.where(pretended >= 0, pretended, paths[leads.account[lead], day])
    persona = people.persona[leads.person[lead]]

    more = np.where(
        persona >= Persona.STUDENT, _OUTSIDER_MORE_ITEMS, np.asarray(_MORE_ITEMS)[state]
    )
    n_items = 1 + rng.poisson(more * rng.gamma(2.0, 0.5, len(more)))
    visit = np.repeat(np.arange(len(lead)), n_items)
    theme = draw_themes(theme_mix()[state, persona], visit=visit, rng=rng)
    kinds = tuple(kind for kind in KINDS if kind != "email")
    item = draw_items(theme, kinds=kinds, rng=rng)

    duration = _durations(item, state=state[visit], rng=rng)
    started = day * DAY + office_second(rng, size=len(lead))
    before = np.cumsum(duration) - duration
    elapsed = before - before[np.concatenate(([0], np.cumsum(n_items)[:-1]))][visit]
    at = started[visit] + elapsed

    is_webinar = theme == THEMES.index("webinar")
    item = np.where(is_webinar, _next_webinar(at)[1], item)
    type_of_kind = np.asarray([TYPE_CODE[_TYPE_OF_KIND[kind]] for kind in KINDS])
    type_code = type_of_kind[kind_codes()[item]]
    is_view = np.isin(type_code, [TYPE_CODE["page_view"], TYPE_CODE["document_view"]])
    share_read = np.where(
        type_code == TYPE_CODE["document_view"], np.round(rng.beta(2, 2, len(at)), 2), np.nan
    )
    seen = make_events(
        lead[visit], at, event_type=type_code, content=item, value=share_read,
        duration=np.where(is_view, duration, -1),
    )  # fmt: skip
    return concat_events(
        [
            seen,
            _forms_sent(seen, state=state[visit], rng=rng),
            _webinars_attended(seen, state=state[visit], rng=rng),
            _first_touches(leads, rng),
        ]
    )


def _visits(
    leads: Leads, people: People, *, paths: npt.NDArray[np.int8], rng: np.random.Generator
) -> tuple[Codes, Codes, Codes]:
    """Lead, day and pretended state (-1: the account's own) of each visit; ascending by lead."""
    day = np.arange(N_DAYS)
    created_day = leads.created_at // DAY
    age = day - created_day[:, None]
    persona = people.persona[leads.person][:, None]
    rate = np.asarray(_VISITS)[paths[leads.account, :N_DAYS]]
    rate = np.where(
        persona == Persona.STUDENT, np.where(age < _STUDENT_DAYS, _STUDENT_VISITS, 0.002), rate
    )
    rate = np.where(persona == Persona.COMPETITOR, _COMPETITOR_VISITS, rate)

    starts = rng.random(rate.shape) < _SPELL_RATE
    begun = np.cumsum(starts.astype(np.int64), axis=1)
    in_spell = begun.copy()
    in_spell[:, _SPELL_DAYS:] -= begun[:, :-_SPELL_DAYS]
    is_stray = (in_spell > 0) & (rate > 0) & (rate < _SPELL_VISITS) & (persona < Persona.STUDENT)
    rate = np.where(is_stray, _SPELL_VISITS, rate)

    rate = rate * people.activity[leads.person][:, None] * weekday_activity()
    rate[age < 0] = 0.0
    n_visits = rng.poisson(rate)
    lead, when = np.nonzero(n_visits)
    repeats = n_visits[lead, when]
    pretends = np.asarray(_SPELL_PRETENDS)[
        rng.integers(len(_SPELL_PRETENDS), size=len(leads.person))
    ]
    pretended = np.where(is_stray[lead, when], pretends[lead], -1)
    return np.repeat(lead, repeats), np.repeat(when, repeats), np.repeat(pretended, repeats)


def _durations(item: Codes, *, state: Codes, rng: np.random.Generator) -> Codes:
    """Seconds spent on each item; documents take longer, and deciders read more closely."""
    is_document = np.asarray([it.kind == "document" for it in CATALOGUE])[item]
    is_close = np.isin(state, [int(State.CONSIDERATION), int(State.DECISION)])
    mean_log = 3.6 + 1.0 * is_document + 0.35 * is_close
    seconds = np.exp(rng.normal(mean_log, 0.8))
    return np.clip(seconds, 3, 3_600).astype(np.int64)


def _next_webinar(at: Codes) -> tuple[Codes, Codes]:
    """Start second and catalogue item of the next webinar after each time."""
    number = np.maximum((at - _WEBINAR_START) // (_WEBINAR_EVERY_DAYS * DAY) + 1, 0)
    topics = np.asarray([i for i, item in enumerate(CATALOGUE) if item.kind == "webinar"])
    return number * _WEBINAR_EVERY_DAYS * DAY + _WEBINAR_START, topics[number % len(topics)]


def _forms_sent(seen: Events, *, state: Codes, rng: np.random.Generator) -> Events:
    """A form that was reached is sent some seconds later, or not; some downloads ask for one."""
    reached = seen.type == TYPE_CODE["form_reached"]
    gated = seen.type == TYPE_CODE["content_download"]
    p_sent = np.where(
        reached, np.asarray(_SUBMITS)[state], np.where(gated, np.asarray(_GATED)[state], 0.0)
    )
    sent = np.flatnonzero(rng.random(len(state)) < p_sent)
    delay = rng.integers(30, 300, len(sent))
    return make_events(
        seen.lead[sent], seen.at[sent] + delay, event_type="form_submit", content=seen.content[sent]
    )


def _webinars_attended(seen: Events, *, state: Codes, rng: np.random.Generator) -> Events:
    """Someone who signed up comes, or not; ``value`` is the share of the hour they stayed."""
    signed_up = seen.type == TYPE_CODE["webinar_signup"]
    came = np.flatnonzero(signed_up & (rng.random(len(state)) < np.asarray(_ATTENDS)[state]))
    start, item = _next_webinar(seen.at[came])
    stayed = np.round(rng.beta(3, 1.5, len(came)), 2)
    return make_events(
        seen.lead[came],
        start + rng.integers(0, 300, len(came)),
        event_type="webinar_attend",
        content=item,
        value=stayed,
        duration=(stayed * 3_600).astype(np.int64),
    )


def _first_touches(leads: Leads, rng: np.random.Generator) -> Events:
    """What a new lead did to become one, seconds after ``created_at``; badge scans did nothing."""
    whitepaper = item_code("Whitepaper: the state of customer handovers")
    guide = item_code("Pricing guide: plans, seats and discounts")
    parts = []
    for source, type_name, item in (
        ("whitepaper", "content_download", whitepaper),
        ("whitepaper", "form_submit", whitepaper),
        ("pricing_download", "content_download", guide),
        ("pricing_download", "form_submit", guide),
        ("inquiry", "form_submit", item_code("/contact")),
        ("referral", "page_view", item_code("/customers")),
        ("newsletter", "form_submit", item_code("/blog")),
        ("webinar", "webinar_signup", -1),
    ):
        lead = np.flatnonzero(leads.source == SOURCES.index(source))
        at = leads.created_at[lead] + rng.integers(1, 90, len(lead))
        content = _next_webinar(at)[1] if item < 0 else np.full(len(lead), item)
        parts.append(make_events(lead, at, event_type=type_name, content=content))
    return concat_events(parts)
