"""A real server process on loopback: what only a socket, a signal or an import can show."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from intentcast.client import Client, NotAllowedError, Prediction, RequestRefusedError
from serving.__main__ import main
from tests.serving_process import PATIENCE, ROOT, head, running
from tests.serving_requests import KEY, request

pytest_plugins = ["tests.serving_world"]


@pytest.fixture(scope="module")
def server(world, tmp_path_factory):
    small = {"max_body_bytes": 100_000, "body_seconds": 0.5}
    with running(world.boosted, tmp_path_factory.mktemp("server"), **small) as server:
        yield server
        for line in server.lines():
            assert isinstance(line, dict)
        assert KEY not in server.log.read_text()


def test_it_answers_over_a_socket_and_hides_what_it_is_made_of(server):
    assert server.ask("GET", "/readyz")[0] == 200
    status, headers, body = server.ask("POST", "/v1/predictions", json.dumps(request()))
    assert status == 200
    assert json.loads(body)["step"] == "lightgbm"
    assert "server" not in headers
    assert server.ask("POST", "/v1/model:reload")[0] == 401


def test_it_is_ready_within_three_seconds_of_a_processor_s_time(server):
    # Not of the clock's, which on a busy machine tells of others.
    assert 0.2 < server.cpu_seconds < 3


def commands_of_the_readme():
    """Return every curl command of the server's README, in its order."""
    text = (ROOT / "serving" / "README.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    return [
        command.strip()
        for block in blocks
        # A command begins at the margin; what follows it is indented.
        for command in re.split(r"^(?=curl |printf )", block, flags=re.MULTILINE)
        if "curl " in command
    ]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_command_of_the_readme_is_answered_by_a_real_server(server):
    answers = {}
    environment = {
        **os.environ, "BASE": f"http://127.0.0.1:{server.port}", "INTENTCAST_ADMIN_KEY": KEY,
        "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
    }  # fmt: skip
    for command in commands_of_the_readme():
        done = subprocess.run(
            ["sh", "-ec", command.replace("curl ", r"curl -w '\n%{http_code}' ", 1)],
            env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE,
        )  # fmt: skip
        body, _, status = done.stdout.rpartition("\n")
        assert status == "200", (command, body)
        answers[re.search(r"\$BASE(\S+)", command)[1]] = body
    page = json.loads(answers["/openapi.json"])
    assert set(answers) == {*page["paths"], "/openapi.json"}
    assert json.loads(answers["/v1/predictions"])["lead_id"] == "L1"


def test_the_client_asks_a_real_server(server):
    with Client(f"http://127.0.0.1:{server.port}", key=KEY) as client:
        assert client.is_ready()
        answer = client.predict(request())
        assert isinstance(answer, Prediction)
        assert 0 <= answer.probability(30) <= answer.probability(90) <= 1
        first, second = client.predict_batch([request(), {}])
        assert first == answer
        assert second.wrong_fields == {"lead": "is required"}
        assert client.model()["sha256"] == answer.model.sha256 == client.reload()["sha256"]
        with pytest.raises(RequestRefusedError, match="lead is required") as refused:
            client.predict({})
        assert refused.value.status == 422
    with (
        Client(f"http://127.0.0.1:{server.port}") as keyless,
        pytest.raises(NotAllowedError, match="401 no-key"),
    ):
        keyless.reload()


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(server):
    answer = server.send(head(10**12))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def test_a_chunked_body_without_end_is_cut_off(server):
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    n_lines = len(server.lines())
    answer = server.send(head(Transfer_Encoding="chunked"), *[chunk] * 200)
    # What is still on its way when the server closes may reset the connection before it is read.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")

    def cut_off():
        return [row["path"] for row in server.lines()[n_lines:] if row.get("status") == 413]

    server.wait_until(cut_off, seconds=10)
    assert cut_off() == ["/v1/predictions"]


def test_a_body_that_does_not_come_is_a_408(server):
    assert server.send(head(5000), b"{").startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("size", [1, 0x40000])
def test_a_stream_whose_line_goes_on_for_ever_is_ended(server, size):
    drip = head(Transfer_Encoding="chunked", Connection="close")
    drip = drip.replace(b"/v1/predictions", b"/v1/predictions:stream")
    drip = drip.replace(b"application/json", b"application/x-ndjson")
    line = json.dumps(request()).encode()
    whole = b"%x\r\n%s\n\r\n" % (len(line) + 1, line)
    started = time.monotonic()
    answer = server.send(drip, whole, *[b"%x\r\n%s\r\n" % (size, b"x" * size)] * 50, pause=0.1)
    assert time.monotonic() - started < 4
    if answer:  # what comes on may reset the connection before it is read
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.count(b'"probabilities"') == 1
        assert b"no whole line arrived within 0.5 seconds" in answer


def test_a_body_longer_than_it_claims_is_not_read_on(server):
    body = json.dumps(request()).encode()
    answer = server.send(head(len(body), Connection="close"), body + b"GARBAGE" * 10)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert server.send(head(10, Connection="close"), body).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "sent",
    [b"\x00\x01\x02\r\n\r\n", head(-1), head("10, 11"), head("ten")],
)
def test_what_is_not_http_is_refused(server, sent):
    assert server.send(sent, b"{}").startswith(b"HTTP/1.1 400 ")
    assert server.ask("GET", "/livez")[0] == 200


def test_what_is_not_http_after_an_early_answer_ends_the_connection_and_is_no_defect(server):
    refused = head(Transfer_Encoding="chunked").replace(b"/v1/predictions", b"/v1/model:reload")
    n_lines = len(server.lines())
    # The answer is there before the body is wrong; no other may follow it.
    answer = server.send(refused, b"ZZZ\r\n", pause=0.2)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert server.ask("GET", "/livez")[0] == 200
    # Nothing but JSON, and no second status.
    told = [line for line in server.lines()[n_lines:] if line.get("path") != "/livez"]
    assert [line["status"] for line in told if "status" in line] == [401]
    assert not any(line["level"] == "error" for line in told)


def test_a_client_that_goes_away_leaves_the_server_well(server):
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(head(50_000) + b"{")
    assert server.ask("GET", "/readyz")[0] == 200


def test_at_sigterm_it_is_not_ready_then_finishes_what_it_accepted_and_exits_0(world, tmp_path):
    with running(world.logistic, tmp_path, drain_seconds=1.5) as server:
        server.ask("GET", "/readyz")
        answers = []
        items = json.dumps([request()] * 60)
        asking = threading.Thread(
            target=lambda: answers.append(server.ask("POST", "/v1/predictions:batch", items))
        )
        asking.start()
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        status, _, body = server.ask("GET", "/readyz")
        assert (status, json.loads(body)["detail"]) == (503, "the server is stopping")
        assert server.ask("POST", "/v1/predictions", json.dumps(request()))[0] == 200
        asking.join(PATIENCE)
        assert server.process.wait(PATIENCE) == 0
        ((status, _, body),) = answers
        assert status == 200
        assert [answer["lead_id"] for answer in json.loads(body)] == ["L1"] * 60
        with pytest.raises(ConnectionRefusedError):
            server.ask("GET", "/livez")


def test_without_a_bundle_the_process_stays_and_says_so(tmp_path):
    with running(tmp_path / "absent", tmp_path) as server:
        assert server.ask("GET", "/livez")[0] == 200
        assert server.ask("GET", "/readyz")[0] == 503
        assert any(line["event"] == "bundle refused" for line in server.lines())
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE) == 0


def test_settings_of_another_type_are_named_and_not_repeated(monkeypatch, capsys):
    monkeypatch.setenv("INTENTCAST_PORT", "many")
    monkeypatch.setenv("INTENTCAST_MAX_ITEMS", "-1")
    assert main() == 2
    assert capsys.readouterr().err == (
        "Found: a wrong INTENTCAST_MAX_ITEMS, INTENTCAST_PORT. Expected: as serving/README.md says."
        " Next: correct the environment.\n"
    )


def test_an_address_that_cannot_be_listened_on_is_one_line_and_exit_code_2():
    environment = {**os.environ, "INTENTCAST_HOST": "203.0.113.1"}
    environment["INTENTCAST_WITHOUT_KEYS"] = "true"
    ended = subprocess.run(
        [sys.executable, "-m", "serving"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ended.returncode == 2
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("Found: 203.0.113.1:8080 cannot be listened on. Expected: ")
    assert "Traceback" not in ended.stderr


def test_serving_imports_neither_pandas_nor_scikit_learn_nor_mlflow(world):
    script = f"""
import sys
from pathlib import Path
import serving.run
from intentcast.histories import history_from_json
from intentcast.scoring import answer_history, load_bundle
for folder in {[str(world.boosted), str(world.logistic)]!r}:
    bundle = load_bundle(Path(folder))
    answer_history(bundle, history_from_json(bundle.golden[-1]["request"]), explain=True)
print(sorted(name for name in sys.modules if name in ("pandas", "sklearn", "mlflow", "pyarrow")))
print("polars" in sys.modules)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.stdout.split("\n")[:2] == ["[]", "True"], ended.stderr
