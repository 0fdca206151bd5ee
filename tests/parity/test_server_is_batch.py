"""The server's numbers are the batch's, to the bit, for leads with all that real ones have."""

import json
import random
from datetime import timedelta

import polars as pl
import pytest

from intentcast.scorecards import score_snapshots
from intentcast.scoring import load_bundle, score
from intentcast.snapshots import attributes_as_of, build_snapshots
from tests.serving_requests import serve

pytest_plugins = ["tests.serving_world"]

N_LEADS = 120
EVENT_COLUMNS = (
    "lead_id", "occurred_at", "event_type", "content", "channel", "value", "duration_seconds",
    "is_machine", "event_id", "recorded_at",
)  # fmt: skip
OUTCOME_COLUMNS = ("lead_id", "occurred_at", "outcome", "recorded_at")


def json_value(value):
    """Return a value as a sender would write it."""
    return value.isoformat() if hasattr(value, "isoformat") else value


@pytest.fixture(scope="module")
def snapshots(world):
    """Return leads at three as-of times, among them some whose events became known later."""
    end = world.dataset.data_cutoff
    times = [end - timedelta(days=days, hours=5, microseconds=3) for days in (200, 80, 0)]
    cohort = build_snapshots(world.dataset, times).with_row_index("place")
    events = world.dataset.events.filter(pl.col("occurred_at") < pl.col("known_at"))
    is_late = (pl.col("occurred_at") < pl.col("as_of")) & (pl.col("known_at") >= pl.col("as_of"))
    late = cohort.join(events, on="lead_id").filter(is_late)["place"].unique(maintain_order=True)
    others = random.Random(0).sample(range(len(cohort)), len(cohort))
    chosen = [*dict.fromkeys([*late[:10], *others])][:N_LEADS]
    return cohort.drop("place")[sorted(chosen)]


def titles_of_colleagues(dataset, snapshots):
    """Return, per snapshot, the colleagues' job titles as they were known then."""
    people = dataset.leads.select("account_id", colleague="lead_id")
    pairs = snapshots.join(people, on="account_id").filter(pl.col("colleague") != pl.col("lead_id"))
    looks = pairs.select("as_of", "account_id", lead_id="colleague")
    titles = attributes_as_of(dataset, looks, ["job_title"])["job_title"]
    found = {key: [] for key in snapshots.select("lead_id", "as_of").iter_rows()}
    for (lead, as_of, colleague), title in zip(
        pairs.select("lead_id", "as_of", "colleague").iter_rows(), titles, strict=True
    ):
        person = {"lead_id": colleague, "attributes": {"job_title": title}}
        found[lead, as_of].append(person)
    return found


@pytest.fixture(scope="module")
def requests(world, snapshots):
    """Return each snapshot's request: what a team would send of the lead at that time."""
    dataset = world.dataset
    lead_columns = [
        c for c in dataset.leads.columns if c not in ("lead_id", "account_id", "created_at")
    ]
    account_columns = [c for c in dataset.accounts.columns if c != "account_id"]
    numeric = set(dataset.config.attributes.numeric)

    def attributes(columns):
        rows = attributes_as_of(dataset, snapshots, columns).rows(named=True)
        return [
            {n: float(v) if n in numeric and v is not None else v for n, v in row.items()}
            for row in rows
        ]

    born = dict(dataset.leads.select("lead_id", "created_at").iter_rows())
    of_lead, of_account = attributes(lead_columns), attributes(account_columns)
    account_of = dict(dataset.leads.select("lead_id", "account_id").iter_rows())

    def of_accounts(table, columns):
        """Every row of each account, whenever it became known."""
        found = {}
        for row in table.select(columns).iter_rows(named=True):
            told = {name: json_value(value) for name, value in row.items()}
            found.setdefault(account_of[row["lead_id"]], []).append(told)
        return found

    events_of = of_accounts(dataset.events, EVENT_COLUMNS)
    outcomes_of = of_accounts(dataset.outcomes, OUTCOME_COLUMNS)
    colleagues_of = titles_of_colleagues(dataset, snapshots)
    shuffled = random.Random(1)
    found = []
    for i, (lead, as_of, account) in enumerate(
        snapshots.select("lead_id", "as_of", "account_id").iter_rows()
    ):
        events = list(events_of.get(account, []))
        shuffled.shuffle(events)
        outcomes = list(outcomes_of.get(account, []))
        shuffled.shuffle(outcomes)
        found.append(
            {
                "lead": {
                    "lead_id": lead,
                    "account_id": None if account == f"lead:{lead}" else account,
                    "created_at": json_value(born[lead]),
                    "attributes": of_lead[i],
                },
                "account": {"attributes": of_account[i]},
                "events": events,
                "outcomes": outcomes,
                "colleagues": colleagues_of[lead, as_of],
                "as_of": json_value(as_of),
                "explain": False,
            }
        )
    return found


def test_the_sample_has_what_makes_parity_hard(world, requests):
    events = [(request, event) for request in requests for event in request["events"]]
    known_later = sum(
        event["occurred_at"] < request["as_of"] <= (event["recorded_at"] or "")
        for request, event in events
    )
    assert known_later >= 5
    assert sum(event["is_machine"] is True for _, event in events) >= 50
    assert sum(e["lead_id"] != r["lead"]["lead_id"] for r, e in events) >= 500
    assert sum(request["lead"]["account_id"] is None for request in requests) >= 5
    assert sum(len(request["outcomes"]) for request in requests) >= 50
    assert sum(len(request["colleagues"]) for request in requests) >= 100
    assert world.dataset.attribute_changes.height >= 50


@pytest.mark.parametrize(("kind", "n"), [("boosted", N_LEADS), ("logistic", 50)])
def test_the_server_s_numbers_are_the_batch_s_to_the_bit(world, snapshots, requests, kind, n):
    folder = getattr(world, kind)
    snapshots, requests = snapshots[:n], requests[:n]
    bundle = load_bundle(folder)
    expected = {}
    for row in score(bundle, world.dataset, snapshots).iter_rows(named=True):
        expected.setdefault((row["lead_id"], row["as_of"]), []).append(row)
    rules = score_snapshots(bundle.scorecard, world.dataset, snapshots)
    with serve(folder, now=world.dataset.data_cutoff) as client:
        response = client.post("/v1/predictions:batch", json=requests)
        answers = response.json()
        # What is said alone is what is said in a batch.
        for i in range(0, len(requests), 40):
            alone = client.post("/v1/predictions", json=requests[i]).json()
            assert alone == answers[i], i
    assert len(answers) == n
    keys = snapshots.select("lead_id", "as_of").iter_rows()
    for (lead, as_of), answer, points in zip(keys, answers, rules.rows(named=True), strict=True):
        rows = expected[lead, as_of]
        assert answer["lead_id"] == lead
        assert answer["probabilities"] == [
            {name: row[name] for name in ("horizon_days", "probability", "low", "high")}
            for row in rows
        ]
        assert (answer["tier"], answer["stage"]) == (rows[0]["tier"], rows[0]["stage"])
        assert (answer["rules"]["score"], answer["rules"]["tier"]) == (
            points["score"],
            points["tier"],
        )
    # So that the agreement is not one of constants.
    assert len({json.dumps(answer["probabilities"]) for answer in answers}) > n / 3


def test_rows_that_become_known_later_change_no_number(world, snapshots, requests):
    as_of = snapshots["as_of"].min()
    early = [request for request in requests if request["as_of"] == json_value(as_of)][:20]
    cut = [
        request
        | {
            table: [
                row
                for row in request[table]
                if (row["recorded_at"] or row["occurred_at"]) < request["as_of"]
            ]
            for table in ("events", "outcomes")
        }
        for request in early
    ]
    for table, n in (("events", 20), ("outcomes", 3)):
        assert sum(len(a[table]) - len(b[table]) for a, b in zip(early, cut, strict=True)) > n
    with serve(world.boosted, now=world.dataset.data_cutoff) as client:
        whole, part = (client.post("/v1/predictions:batch", json=x).json() for x in (early, cut))
    for a, b in zip(whole, part, strict=True):
        del a["warnings"], b["warnings"]
    assert whole == part
