"""A real server process on loopback: what only a socket, a signal or an import can show."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving.__main__ import main
from tests.serving_requests import KEY, request

pytest_plugins = ["tests.serving_world"]

ROOT = Path(__file__).parents[1]
PATIENCE = 30
JSON = {"Content-Type": "application/json"}


class Server:
    """A server process and its log."""

    def __init__(self, process, log):
        self.process, self.log = process, log
        self.port = None

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def wait_until_listening(self):
        """Wait for the log line that names the port: the system chose a free one."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", self.log.read_text()):
                self.port = int(found[1])
                return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def ask(self, method, path, body=None, headers=JSON):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def send(self, *parts, pause=0.0):
        """Send bytes as they are and return all that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as raw:
            try:
                for part in parts:
                    raw.sendall(part)
                    time.sleep(pause)
            except (BrokenPipeError, ConnectionResetError):
                pass
            answer = b""
            try:
                while chunk := raw.recv(65536):
                    answer += chunk
            except ConnectionResetError:
                pass
            return answer


@contextmanager
def running(bundle, tmp_path, **settings):
    """Run a server process; it is gone afterwards, whatever happens."""
    chosen = {"bundle": bundle, "port": 0, "admin_key": KEY, **settings}
    environment = {f"INTENTCAST_{name.upper()}": str(value) for name, value in chosen.items()}
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        server = Server(process, log)
        server.wait_until_listening()
        yield server
    finally:
        process.kill()
        process.wait(PATIENCE)


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


def head(length=None, **more):
    lines = ["POST /v1/predictions HTTP/1.1", "Host: x", "Content-Type: application/json"]
    lines += [f"Content-Length: {length}"] if length is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(server):
    answer = server.send(head(10**12))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def test_a_chunked_body_without_end_is_cut_off(server):
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    answer = server.send(head(Transfer_Encoding="chunked"), *[chunk] * 200)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")
    (line,) = [row for row in server.lines() if row.get("status") == 413][-1:]
    assert line["path"] == "/v1/predictions"


def test_a_body_that_does_not_come_is_a_408(server):
    assert server.send(head(5000), b"{").startswith(b"HTTP/1.1 408 ")


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
print("lightgbm" in sys.modules)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.stdout.split("\n")[:2] == ["[]", "True"], ended.stderr
