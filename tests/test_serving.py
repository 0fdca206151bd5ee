"""The server's endpoints: whole answers, readiness, metrics, the OpenAPI page and log lines."""

import io
import json
import re
from dataclasses import fields
from pathlib import Path

import polars as pl
import pytest
from prometheus_client.parser import text_string_to_metric_families

from intentcast.histories import (
    EngagementEvent,
    KnownOutcome,
    history_from_dataset,
    history_from_json,
    history_to_json,
)
from intentcast.scoring import answer_histories, answer_history, load_bundle, score
from serving.answers import PredictionAnswer
from serving.schemas import EventIn, OutcomeIn, PredictionRequest, RequestContext
from serving.settings import Settings
from serving.validation import field_path
from tests.serving_requests import KEY, NOW, changed, event, outcome, request, serve

pytest_plugins = ["tests.serving_world"]

NOW_TEXT = "2026-11-21T10:00:00Z"


@pytest.fixture(scope="module")
def log():
    return io.StringIO()


@pytest.fixture(scope="module")
def client(world, log):
    with serve(world.boosted, log_to=log, admin_key=KEY, max_items=5, max_events=50) as client:
        yield client


def history(body):
    """Return what the server scores of a request."""
    context = RequestContext(NOW, max_events=50, max_outcomes=50, max_colleagues=50)
    return PredictionRequest.model_validate(body, context=context).history(NOW)


def test_a_prediction_is_the_library_s_answer_and_nothing_else(client, world):
    response = client.post("/v1/predictions", json=request())
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    expected = answer_history(load_bundle(world.boosted), history(request()), explain=True)
    assert response.json() == json.loads(json.dumps(expected))


def test_a_prediction_has_the_documented_shape(client):
    body = client.post("/v1/predictions", json=request()).json()
    assert list(body) == list(PredictionAnswer.model_fields)
    assert body["lead_id"] == "L1"
    assert body["as_of"] == "2026-11-21T10:00:00Z"
    assert [p["horizon_days"] for p in body["probabilities"]] == [30, 90]
    for p in body["probabilities"]:
        assert 0 <= p["low"] <= p["probability"] <= p["high"] <= 1
    assert body["tier"] in ("cold", "warm", "hot")
    assert body["step"] == "lightgbm"
    assert {c["name"] for c in body["handoff"]["criteria"]} >= {"consistency", "intent"}
    assert body["reasons"]
    assert body["rules"]["scorecard"] == "playbook"
    ledger = body["rules"]["ledger"]
    assert sum(line["points"] for line in ledger) == body["rules"]["score"]
    assert body["model"]["version"] == "2026-01-02.1"


def test_reasons_and_the_ledger_can_be_left_out(client):
    full = client.post("/v1/predictions", json=request()).json()
    short = client.post("/v1/predictions", json=request(explain=False)).json()
    full["rules"]["ledger"] = []
    assert short == full | {"reasons": []}


def test_without_as_of_the_lead_is_scored_now_and_the_answer_says_so(client):
    body = request()
    del body["as_of"]
    assert client.post("/v1/predictions", json=body).json()["as_of"] == "2026-11-21T10:00:00Z"
    assert client.post("/v1/predictions", json=request(as_of=None)).status_code == 200


def test_a_time_of_another_zone_is_the_same_instant(client):
    there = request(as_of="2026-11-21t12:30:00.000+02:30")
    assert client.post("/v1/predictions", json=there).json() == (
        client.post("/v1/predictions", json=request()).json()
    )


def test_a_lead_that_nothing_is_known_of_is_scored_with_warnings(client):
    lead = {"lead_id": "new", "created_at": "2026-11-21T09:59:59Z"}
    response = client.post("/v1/predictions", json={"lead": lead})
    assert response.status_code == 200
    warnings = response.json()["warnings"]
    assert "no events of the lead before as_of" in warnings
    assert any(text.startswith("attributes unknown: ") for text in warnings)


def test_a_request_means_to_the_server_what_it_means_to_the_library():
    assert history(request()) == history_from_json(request())


def test_outcomes_and_colleagues_reach_the_features_that_they_tell_of(world):
    bundle = load_bundle(world.boosted)
    featurizer = bundle.featurizer.complete

    def told(body):
        matrix = featurizer.transform_histories([history(body)], bundle.config)
        return dict(zip(matrix.names, matrix.values[0].tolist(), strict=True))

    full, bare = told(request()), told(request(outcomes=[], colleagues=[]))
    differing = {name for name in full if repr(full[name]) != repr(bare[name])}
    assert {name: full[name] for name in differing} == {
        "account.colleagues_won.any.count": 1,
        "account.since_colleague_won.any.days": pytest.approx(51.9167, abs=1e-3),
        "account.senior_people.any.30d": 2,
        "account.senior_people.any.90d": 2,
        "lifecycle.earlier_returns.lead.count": 1,
        "lifecycle.since_return.lead.days": pytest.approx(51.9167, abs=1e-3),
    }


def test_a_lead_of_the_data_set_gets_the_same_numbers_over_http(client, world):
    bundle, leads = load_bundle(world.boosted), world.dataset.leads
    won = world.dataset.outcomes.filter(pl.col("outcome") == "closed_won")["lead_id"]
    buyers = leads.filter(pl.col("lead_id").is_in(won.implode()))["account_id"]
    lead = leads.filter(pl.col("account_id").is_in(buyers.implode())).sort("lead_id").head(1)
    as_of = pl.lit(world.dataset.data_cutoff)
    snapshot = lead.select("lead_id", "account_id", as_of=as_of)
    body = history_to_json(history_from_dataset(world.dataset, snapshot))
    assert body["outcomes"]
    assert body["colleagues"]
    answer = client.post("/v1/predictions", json=body).json()
    scored = score(bundle, world.dataset, snapshot)
    assert [p["probability"] for p in answer["probabilities"]] == scored["probability"].to_list()


def test_outcomes_known_at_or_after_as_of_change_nothing(client):
    plain = client.post("/v1/predictions", json=request(outcomes=[])).json()
    late = [outcome("L1", recorded_at="2026-11-21T10:00:00Z"), outcome(occurred_at=NOW_TEXT)]
    assert client.post("/v1/predictions", json=request(outcomes=late)).json() == plain


def test_lists_that_are_left_out_are_empty(client):
    empty = request(outcomes=[], colleagues=[])
    bare = {k: v for k, v in empty.items() if v != []}
    assert client.post("/v1/predictions", json=bare).json() == (
        client.post("/v1/predictions", json=empty).json()
    )
    assert client.post("/v1/predictions", json=request(colleagues=[{"lead_id": "L3"}])).is_success


def test_unseen_vocabulary_is_scored_with_warnings(client):
    odd = event(event_type="teleport", channel="pigeon", content="qwertz")
    warnings = client.post("/v1/predictions", json=request(events=[odd])).json()["warnings"]
    assert "1 events of event types not seen in training, counted as other" in warnings
    assert "1 events of channels not seen in training, counted as other" in warnings
    assert not any("teleport" in text or "pigeon" in text for text in warnings)


def test_blanks_around_text_are_cut_as_they_are_from_tables(client):
    plain = client.post("/v1/predictions", json=request()).json()
    spaced = request(
        events=[event(channel=" web\n", content=" /pricing "), event(" L2", content=" ")]
    )
    spaced["lead"]["lead_id"] = " L1 "
    assert client.post("/v1/predictions", json=spaced).json() == plain


def test_attributes_may_be_text_numbers_booleans_or_null(client):
    for value in ("120", 120, 120.0, True, None, " "):
        assert client.post(
            "/v1/predictions", json=changed("lead.attributes.employee_count", value)
        ).is_success


def test_attribute_names_of_the_library_s_own_columns_change_nothing(client):
    plain = client.post("/v1/predictions", json=request()).json()
    for name in ("as_of", "known_at", "position", "event_type", "look", "points", "stage", "a b"):
        for place in ("lead", "account"):
            body = changed(f"{place}.attributes.{name}", "odd")
            assert client.post("/v1/predictions", json=body).json() == plain, name


def test_a_batch_keeps_the_order_and_gives_a_bad_item_an_error_in_its_place(client):
    items = [request(), {"lead": 1}, changed("lead.lead_id", "L7"), "x", request(explain=False)]
    response = client.post("/v1/predictions:batch", json=items)
    assert response.status_code == 200
    first, second, third, fourth, fifth = response.json()
    assert first == client.post("/v1/predictions", json=items[0]).json()
    assert third["lead_id"] == "L7"
    assert fifth["reasons"] == []
    assert second == {
        "error": {
            "type": "urn:intentcast:problem:invalid-request",
            "title": "The request is not valid",
            "status": 422,
            "detail": "1 wrong field",
            "errors": [{"field": "lead", "reason": "must be an object"}],
        }
    }
    assert fourth["error"]["errors"] == [{"field": "body", "reason": "must be an object"}]


def test_an_empty_batch_has_an_empty_answer(client):
    assert client.post("/v1/predictions:batch", json=[]).json() == []


@pytest.mark.parametrize("item", ["nul", "1 2", '{"lead": 1,}', "{'lead': 1}"])
def test_a_batch_with_an_item_that_is_not_json_is_refused_and_told_where(client, item):
    body = f"[{json.dumps(request())},\n {item}]".encode()
    response = client.post(
        "/v1/predictions:batch", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400
    assert response.json()["detail"].startswith("the body is not JSON: see line 2, column ")


def test_a_defect_in_one_item_of_a_batch_leaves_the_others(world, monkeypatch):
    def fails_for_l7(bundle, histories, **more):
        if any(history.lead_id == "L7" for history in histories):
            raise RuntimeError("secret L7")
        return answer_histories(bundle, histories, **more)

    monkeypatch.setattr("serving.items.answer_histories", fails_for_l7)
    log = io.StringIO()
    with serve(world.logistic, log_to=log) as client:
        items = [changed("lead.lead_id", "L7"), request()]
        bad, good = client.post("/v1/predictions:batch", json=items).json()
    assert bad["error"]["status"] == 500
    assert good["lead_id"] == "L1"
    assert "secret" not in json.dumps(bad) + log.getvalue()


def test_a_defect_is_a_bare_500_that_the_log_can_be_searched_for(world, monkeypatch):
    def fails(*_args, **_more):
        raise RuntimeError("secret L1")

    monkeypatch.setattr("serving.items.answer_histories", fails)
    log = io.StringIO()
    with serve(world.logistic, log_to=log) as client:
        headers = {"X-Request-ID": "mine-1"}
        response = client.post("/v1/predictions", json=request(), headers=headers)
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "urn:intentcast:problem:unexpected",
        "title": "The server failed",
        "status": 500,
        "detail": "an unexpected error; the log has it under the request id",
        "request_id": "mine-1",
    }
    line = next(row for row in map(json.loads, log.getvalue().splitlines()) if "error" in row)
    assert line["request_id"] == "mine-1"
    assert line["error"] == "RuntimeError"
    assert line["where"][-1].endswith(" fails")
    assert "secret" not in log.getvalue()


def test_the_model_describes_itself(client, world):
    bundle = load_bundle(world.boosted)
    tiers = bundle.tiers.to_json()
    del tiers["policy"]
    assert client.get("/v1/model").json() == {
        "name": "small",
        "version": "2026-01-02.1",
        "sha256": bundle.sha256,
        "created": bundle.created,
        "data_cutoff": bundle.data_cutoff,
        "primary_horizon_days": 90,
        "horizons": [
            {"horizon_days": 30, "step": "lightgbm"},
            {"horizon_days": 90, "step": "lightgbm"},
        ],
        "tiers": tiers,
        "n_features": len(bundle.featurizer.spec.names),
        "scorecard": "playbook",
    }


def test_a_server_with_a_model_is_alive_and_ready(client):
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}


@pytest.mark.parametrize("bundle", [None, "absent"])
def test_without_a_bundle_the_server_is_alive_and_not_ready(tmp_path, bundle):
    log = io.StringIO()
    with serve(tmp_path / bundle if bundle else None, log_to=log, admin_key=KEY) as client:
        assert client.get("/livez").status_code == 200
        for response in (
            client.get("/readyz"),
            client.get("/v1/model"),
            client.post("/v1/predictions", json=request()),
            client.post("/v1/predictions:batch", json=[]),
        ):
            assert response.status_code == 503
            assert response.headers["content-type"] == "application/problem+json"
            assert response.headers["retry-after"] == "5"
            assert response.json()["detail"] == "no model is loaded"
    refusals = [row for row in log.getvalue().splitlines() if "bundle refused" in row]
    assert len(refusals) == 1
    assert str(tmp_path) not in refusals[0]


def test_a_draining_server_is_not_ready_but_answers(world):
    with serve(world.logistic) as client:
        client.app.state.server.is_draining = True
        assert client.get("/readyz").json()["detail"] == "the server is stopping"
        assert client.post("/v1/predictions", json=request()).status_code == 200


def test_unknown_paths_and_methods_are_problems(client):
    missing = client.get("/nope")
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/problem+json"
    assert missing.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no such path",
    }
    wrong = client.delete("/v1/predictions")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "POST"
    assert wrong.json()["title"] == "Method Not Allowed"
    for path in ("/v1/predictions/", "/v1/predictions:batch/", "/docs", "/../etc/passwd"):
        assert client.get(path).status_code == 404, path


def test_metrics_count_routes_statuses_and_tiers(world):
    with serve(world.logistic) as client:
        tier = client.post("/v1/predictions", json=request()).json()["tier"]
        client.post("/v1/predictions:batch", json=[{}])
        for path in ("/a", "/b", "/c"):
            client.get(path)
        response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert samples["intentcast_http_requests_total", "/v1/predictions", "200"] == 1
    assert samples["intentcast_http_requests_total", "404", "none"] == 3
    assert samples["intentcast_http_request_seconds_count", "/v1/predictions:batch"] == 1
    assert samples["intentcast_predictions_total", tier] == 1
    assert samples["intentcast_item_errors_total",] == 1
    assert samples["intentcast_reloads_total", "loaded"] == 1
    assert sum(name[0] == "intentcast_model" for name in samples) == 1


def test_two_servers_in_one_process_share_nothing(world):
    with serve(world.logistic) as first, serve(world.boosted) as second:
        first.get("/livez")
        assert 'route="/livez"' not in second.get("/metrics").text
        steps = [c.post("/v1/predictions", json=request()).json()["step"] for c in (first, second)]
    assert steps == ["logistic", "lightgbm"]


def test_log_lines_are_json_and_name_the_request_but_never_the_lead(client, log):
    start = log.tell()
    body = changed("lead.lead_id", "lead-with-a-name")
    sent = client.post("/v1/predictions", json=body)
    named = client.get("/livez", headers={"X-Request-ID": "abc.1"})
    refused = client.get("/livez", headers={"X-Request-ID": "a\x7f" + "b" * 100})
    lines = [json.loads(line) for line in log.getvalue()[start:].splitlines()]
    assert [line["path"] for line in lines] == ["/v1/predictions", "/livez", "/livez"]
    assert set(lines[0]) == {
        "event", "level", "timestamp", "request_id", "method", "path", "status", "milliseconds",
        "leads", "lead",
    }  # fmt: skip
    assert lines[0]["request_id"] == sent.headers["x-request-id"]
    assert named.headers["x-request-id"] == lines[1]["request_id"] == "abc.1"
    assert re.fullmatch("[0-9a-f]{32}", refused.headers["x-request-id"])
    assert "lead-with-a-name" not in log.getvalue()


def test_the_openapi_page_is_whole(client):
    page = client.get("/openapi.json").json()
    operations = {
        (path, method): operation
        for path, methods in page["paths"].items()
        for method, operation in methods.items()
    }
    assert {path: op["operationId"] for (path, _), op in operations.items()} == {
        "/v1/predictions": "predict",
        "/v1/predictions:batch": "predict_batch",
        "/v1/predictions:stream": "predict_stream",
        "/v1/model": "model",
        "/v1/model:reload": "reload_model",
        "/livez": "livez",
        "/readyz": "readyz",
        "/metrics": "metrics",
    }
    schemas = page["components"]["schemas"]
    for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(page)):
        assert name in schemas
    assert "HTTPValidationError" not in schemas
    for operation in operations.values():
        for status, response in operation["responses"].items():
            media = list(response["content"])
            assert (media == ["application/problem+json"]) == (status[0] != "2")
    body = operations["/v1/predictions", "post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/PredictionRequest"}
    assert schemas["EventIn"]["properties"]["occurred_at"]["format"] == "date-time"
    for name in ("EventIn", "OutcomeIn", "ColleagueIn"):
        assert schemas[name]["additionalProperties"] is False
        assert schemas[name]["description"]
    example = schemas["PredictionRequest"]["examples"][0]
    assert set(example) == set(schemas["PredictionRequest"]["properties"])
    assert client.post("/v1/predictions", json=example).status_code == 200


@pytest.mark.parametrize(("sent", "kept"), [(EventIn, EngagementEvent), (OutcomeIn, KnownOutcome)])
def test_rows_of_requests_and_of_the_library_have_the_same_fields(sent, kept):
    assert list(sent.model_fields) == [field.name for field in fields(kept)]


def test_settings_come_from_the_environment_and_hide_the_key(monkeypatch, tmp_path):
    monkeypatch.setenv("INTENTCAST_BUNDLE", str(tmp_path))
    monkeypatch.setenv("INTENTCAST_PORT", "9")
    monkeypatch.setenv("INTENTCAST_ADMIN_KEY", "topsecret")
    settings = Settings()
    assert (settings.bundle, settings.port, settings.host) == (tmp_path, 9, "127.0.0.1")
    assert "topsecret" not in repr(settings) + settings.model_dump_json()
    monkeypatch.setenv("INTENTCAST_ADMIN_KEY", "")
    assert Settings().admin_key is None


def test_a_field_s_path_repeats_only_what_is_plain_and_short():
    assert field_path(("events", 0, "value")) == "events.0.value"
    assert field_path(("lead", "a key <script>", "[key]")) == "lead.a_key__script_"
    assert len(field_path(("x" * 10_000,) * 50)) == 200
    assert field_path(()) == "body"


def test_the_readme_names_every_setting_and_every_endpoint(client):
    text = (Path(__file__).parents[1] / "serving" / "README.md").read_text()
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        row = f"| `INTENTCAST_{name.upper()}` | {default} | {field.description} |"
        assert row.replace("|  |", "| |") in text, row
    for path in client.get("/openapi.json").json()["paths"]:
        assert f"$BASE{path} " in text.replace("\n", " "), path


def test_the_readme_s_requests_are_answered(client):
    text = (Path(__file__).parents[1] / "serving" / "README.md").read_text()
    one, many = re.findall(r"-d '(.*?)'", text, flags=re.DOTALL)
    assert client.post("/v1/predictions", json=json.loads(one)).status_code == 200
    scored, refused = client.post("/v1/predictions:batch", json=json.loads(many)).json()
    assert scored["lead_id"] == "L1"
    assert refused["error"]["errors"] == [{"field": "lead", "reason": "is required"}]
