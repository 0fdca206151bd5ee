"""Stopping under load, and several workers behind one socket."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.serving_process import PATIENCE, ROOT, running
from tests.serving_registry import promote, registry
from tests.serving_requests import request

pytest_plugins = ["tests.serving_world"]


class Askers:
    """Clients that ask one after another, each on connections of its own, until refused."""

    def __init__(self, server, n):
        self.statuses, self.broken = [], []
        self._body = json.dumps(request())
        self._threads = [threading.Thread(target=self._ask, args=(server.port,)) for _ in range(n)]
        for thread in self._threads:
            thread.start()

    def _ask(self, port):
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            try:
                connection.connect()
            except OSError:
                return
            try:
                headers = {"Content-Type": "application/json"}
                # Kept open until the server asks to close it.
                while True:
                    connection.request("POST", "/v1/predictions", self._body, headers)
                    response = connection.getresponse()
                    response.read()
                    self.statuses.append(response.status)
                    if response.will_close:
                        break
            except (OSError, http.client.HTTPException) as error:
                self.broken.append(error)
                return
            finally:
                connection.close()

    def join(self):
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def bundles(world, tmp_path_factory):
    return registry(world, tmp_path_factory.mktemp("workers"))


def workers_of(server):
    """Return the process ids of a supervisor's workers."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                parent = stat.read().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if int(parent) == server.process.pid:
            found.append(int(pid))
    return found


def test_13_workers_share_the_load_and_stop_under_it_without_dropping_a_request(
    world, bundles, tmp_path
):
    settings = {"bundle": None, "bundles": bundles, "workers": 2, "watch_seconds": 0.1}
    with running(tmp_path=tmp_path, drain_seconds=1, **settings) as server:

        def ready():
            return sum(line["event"] == "listening" for line in server.lines())

        server.wait_until(lambda: ready() == 2)

        def metrics():
            return server.ask("GET", "/metrics")[2].decode()

        versions = 'intentcast_model{name="small",sha256='
        serving = [line for line in metrics().splitlines() if line.startswith(versions)]
        assert [line.rpartition(" ")[2] for line in serving] == ["2.0"]
        # One that dies is replaced, and its place in the counts with it.
        os.kill(workers_of(server)[0], signal.SIGKILL)
        server.wait_until(lambda: ready() == 3)
        assert server.ask("GET", "/readyz")[0] == 200
        # All of them follow the champion.
        promote(bundles, world.logistic.name)
        server.wait_until(lambda: 'version="2026-01-02.2"} 2.0' in metrics())
        asking = Askers(server, 6)
        time.sleep(0.7)
        before = len(asking.statuses)
        server.process.send_signal(signal.SIGTERM)
        asking.join()
        assert server.process.wait(PATIENCE) == 0
        assert asking.broken == []
        assert set(asking.statuses) == {200}
        assert len(asking.statuses) > before > 0
        assert workers_of(server) == []


def test_13_at_sigterm_nothing_that_was_accepted_is_dropped(world, tmp_path):
    with running(world.logistic, tmp_path, drain_seconds=0.5) as server:
        server.ask("GET", "/readyz")
        asking = Askers(server, 8)
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        server.wait_until(lambda: any(line["event"] == "Shutting down" for line in server.lines()))
        asking.join()
        assert server.process.wait(PATIENCE) == 0
        assert asking.broken == []
        assert set(asking.statuses) == {200}


INTERRUPTED = """
import os, signal, subprocess
from serving.settings import Settings
from serving.workers import run_workers

class Interrupted(subprocess.Popen):
    def __init__(self, *how, **more):
        super().__init__(*how, **more)
        # Started, and not known to anybody yet.
        os.kill(os.getpid(), signal.SIGTERM)

subprocess.Popen = Interrupted
run_workers(Settings(port=0, workers=2))
print("ended")
"""


def test_a_worker_that_starts_as_the_order_to_stop_comes_is_told_too():
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert ended.stdout == "ended\n", ended.stderr
    assert ended.returncode == 0


@pytest.mark.slow
def test_workers_end_with_their_supervisor(world, tmp_path):
    with running(world.logistic, tmp_path, workers=2, drain_seconds=0) as server:
        server.wait_until(lambda: sum(line["event"] == "listening" for line in server.lines()) == 2)
        pids = workers_of(server)
        server.process.kill()
        deadline = time.monotonic() + PATIENCE
        while any(os.path.exists(f"/proc/{pid}") for pid in pids):
            assert time.monotonic() < deadline
            time.sleep(0.1)
