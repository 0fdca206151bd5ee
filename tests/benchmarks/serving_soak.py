"""Minutes of requests with a reload every few seconds: does memory grow, does any request fail?"""

import itertools
import json
import threading
import time
import urllib.request
from pathlib import Path

from serving_load import load, post

_WARM_SECONDS = 20.0


def soak(
    port: int, pid: int, bodies: list[bytes], *, minutes: float, reload_seconds: float
) -> dict[str, float]:
    """Return requests, failures, reloads, and memory before and after.

    Args:
        port: Of the server.
        pid: Of its process.
        bodies: Sent in turn, so that contents and leads differ.
        minutes: How long.
        reload_seconds: Between two reloads.
    """
    sent = itertools.cycle(bodies)
    until = time.monotonic() + minutes * 60
    begin = time.monotonic()
    reloads = failures = n = 0
    resident: list[tuple[float, float]] = []
    is_over = threading.Event()

    def keep_reloading() -> None:
        nonlocal reloads, failures
        while not is_over.wait(reload_seconds):
            try:
                _reload(port)
                reloads += 1
            except OSError:
                failures += 1

    reloading = threading.Thread(target=keep_reloading, daemon=True)
    reloading.start()
    while time.monotonic() < until:
        request = post("/v1/predictions", next(sent))
        found = load(port, request, connections=4, seconds=1.0)
        n += int(found["n"])
        failures += int(found["failed"])
        resident.append((time.monotonic() - begin, mebibytes(pid)))
    is_over.set()
    reloading.join(30)
    warm = [size for at, size in resident if at >= min(_WARM_SECONDS, minutes * 30)]
    fifth = max(1, len(warm) // 5)
    first, last = max(warm[:fifth]), max(warm[-fifth:])
    return {
        "seconds": time.monotonic() - begin,
        "requests": n,
        "failures": failures,
        "reloads": reloads,
        "first_mib": first,
        "last_mib": last,
        "growth": last / first - 1.0,
    }


def _reload(port: int) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/model:reload",
        method="POST",
        headers={"Authorization": "Bearer benchmark"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        json.load(response)


def mebibytes(pid: int) -> float:
    """Return the memory that a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("the server is gone")
