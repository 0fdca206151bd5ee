"""A real server process, its log, and bytes sent to it as they are."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from tests.serving_requests import KEY

ROOT = Path(__file__).parents[1]
PATIENCE = 60
JSON = {"Content-Type": "application/json"}


class Server:
    """A server process and its log."""

    def __init__(self, process, log):
        self.process, self.log = process, log
        self.port = self.cpu_seconds = None

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def memory(self):
        """Return the process's resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def n_threads(self):
        """Return how many threads the process has now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"Threads:\s+(\d+)", status)[1])

    def wait_until(self, is_so, seconds=PATIENCE):
        """Wait until a question to the server is answered with yes."""
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.05)

    def wait_until_listening(self):
        """Wait for the log line that names the port: the system chose a free one."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", self.log.read_text()):
                self.port = int(found[1])
                ticks = (
                    Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
                )
                self.cpu_seconds = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
                return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def ask(self, method, path, body=None, headers=JSON):
        """Return status, headers and body of one request on a connection of its own."""
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
    """Run a server process; it is gone afterwards, whatever happens.

    Settings are those of the server by name; None is not told to it.
    """
    chosen = {"bundle": bundle, "port": 0, "admin_key": KEY, **settings}
    environment = {
        f"INTENTCAST_{name.upper()}": str(value)
        for name, value in chosen.items()
        if value is not None
    }
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving"],
            cwd=ROOT,
            # What a server that is killed leaves behind goes with the test's folder.
            env={**os.environ, "TMPDIR": str(tmp_path), **environment},
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


def head(length=None, **more):
    lines = ["POST /v1/predictions HTTP/1.1", "Host: x", "Content-Type: application/json"]
    lines += [f"Content-Length: {length}"] if length is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return "\r\n".join([*lines, "", ""]).encode()
