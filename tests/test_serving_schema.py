"""Requests made up from the server's own OpenAPI page: no 5xx, and nothing that it does not say."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import positive_data_acceptance

from serving.app import create_app
from serving.settings import Settings
from tests.serving_requests import KEY, NOW

pytest_plugins = ["tests.serving_world"]

# A schema cannot say that a time is not in the future, or that a colleague is not the lead.
BEYOND_A_SCHEMA = [positive_data_acceptance]
# Of 8 operations, most take nothing: the cases go where there is something to get wrong.
FAST = {"predict": 50, "predict_batch": 30}
SLOW = {"predict": 1000, "predict_batch": 800, "predict_stream": 200, "reload_model": 20}


@schemathesis.serializer("application/x-ndjson")
def as_lines(_context, value):
    return value.encode("utf-8", "replace") if isinstance(value, str) else str(value).encode()


@pytest.fixture
def app(world):
    from fastapi.testclient import TestClient

    app = create_app(Settings(bundle=world.logistic, admin_key=KEY), now=lambda: NOW)
    with TestClient(app):
        yield app


def run(app, cases, others):
    """Send made-up requests to every operation; return how many by operation and status."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    sent = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        name = operation.definition.raw["operationId"]
        answers_as_the_page_says(operation, name, cases.get(name, others), sent)
    return sent


def answers_as_the_page_says(operation, name, n, sent):
    headers = {"Authorization": f"Bearer {KEY}"} if name == "reload_model" else {}

    @settings(
        max_examples=n,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        deadline=None,
        derandomize=True,
        database=None,
    )
    @given(case=operation.as_strategy())
    def check(case):
        response = case.call_and_validate(headers=headers, excluded_checks=BEYOND_A_SCHEMA)
        assert response.status_code < 500
        sent[name, response.status_code] = sent.get((name, response.status_code), 0) + 1

    check()


def test_what_the_page_allows_is_answered_as_it_says(app):
    sent = run(app, FAST, 3)
    assert sum(sent.values()) >= 90
    assert sent["predict", 200] > 0


@pytest.mark.slow
def test_two_thousand_requests_are_answered_as_the_page_says(app):
    sent = run(app, SLOW, 10)
    assert sum(sent.values()) >= 2000, sent
    assert sent["predict", 200] > 100
    assert sent["predict", 422] > 100
