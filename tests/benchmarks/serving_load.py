"""A closed loop of load over loopback: a few connections, each sends when it has its answer.

    python tests/benchmarks/serving_load.py PORT PATH BODY_FILE CONNECTIONS SECONDS

Prints one JSON object. It runs in a process of its own, so that it takes no time of the server's.
"""

import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

_PATIENCE = 30.0


@dataclass
class _Connection:
    socket: socket.socket
    arrived: bytearray = field(default_factory=bytearray)
    sent_at: float = 0.0


def load(port: int, request: bytes, *, connections: int, seconds: float) -> dict[str, float]:
    """Return requests per second, latencies in milliseconds, and how many were not a 200."""
    ready = selectors.DefaultSelector()
    now = time.perf_counter
    begin = now()
    stop = begin + seconds
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one = _Connection(sock, sent_at=now())
        ready.register(sock, selectors.EVENT_READ, one)
        sock.sendall(request)
    latencies: list[float] = []
    failed, left = 0, connections
    while left:
        found = ready.select(_PATIENCE)
        if not found:
            raise SystemExit("no answer in time")
        for key, _ in found:
            one = key.data
            chunk = one.socket.recv(1 << 20)
            if not chunk:
                raise SystemExit("the server closed a connection")
            one.arrived += chunk
            if not _is_whole(one.arrived):
                continue
            at = now()
            latencies.append(at - one.sent_at)
            failed += one.arrived[9:12] != b"200"
            one.arrived.clear()
            if at > stop:
                left -= 1
                ready.unregister(one.socket)
                one.socket.close()
                continue
            one.sent_at = at
            one.socket.sendall(request)
    latencies.sort()
    return {
        "n": len(latencies),
        "per_second": len(latencies) / (now() - begin),
        "p50_ms": 1e3 * latencies[len(latencies) // 2],
        "p99_ms": 1e3 * latencies[int(len(latencies) * 0.99)],
        "failed": failed,
    }


def _is_whole(arrived: bytearray) -> bool:
    end = arrived.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = bytes(arrived[:end]).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    return len(arrived) >= end + 4 + length


def post(path: str, body: bytes, *headers: str) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


if __name__ == "__main__":
    port, path, body, connections, seconds = sys.argv[1:]
    request = post(path, Path(body).read_bytes())
    figures = load(int(port), request, connections=int(connections), seconds=float(seconds))
    sys.stdout.write(json.dumps(figures))
