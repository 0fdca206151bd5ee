"""What a prediction costs over HTTP, beside an endpoint that only parses the same body.

    intentcast train data/sample --out /tmp/bundles
    python tests/benchmarks/serving.py --bundle /tmp/bundles/NAME --write docs/benchmarks.md

One server process with `intentcast serve`'s settings answers all of it: predictions, and endpoints
beside them that answer a constant. Load comes from another process over loopback. Each is asked in
turn, several times, so that what else the machine does falls on all alike; shown are medians.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pages import write_sections
from serving_bodies import as_body, request_of
from serving_soak import soak

from intentcast.scoring import load_bundle

HERE = Path(__file__).parent
# They begin as the predictions' do, so that the same limits are looked at for all.
UNTYPED, TYPED, STRICT = (
    f"/v1/predictions/constant-{kind}" for kind in ("untyped", "typed", "strict")
)
ONE, BATCH = "/v1/predictions", "/v1/predictions:batch"
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Server:
    """A server's process."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used."""
        parts = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(command: list[str], port: int, path: str, *, patience: float = 180) -> Iterator[Server]:
    """Start a server, wait until a path of it answers, and stop it at the end."""
    # MLflow starts programs that lie beside the interpreter.
    path_of_programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "PATH": path_of_programs}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=env, start_new_session=True)  # fmt: skip
    try:
        until = time.monotonic() + patience
        while time.monotonic() < until and process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
                    break
            except OSError:
                time.sleep(0.05)
        else:
            raise SystemExit(f"{command[1]} does not answer")
        yield Server(process.pid, port)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def measured(
    server: Server, path: str, body: Path, *, connections: int, seconds: float
) -> dict[str, float]:
    """Return the figures of one run of load, and the server's CPU time per request."""
    before = server.cpu_seconds()
    command = [sys.executable, str(HERE / "serving_load.py"), str(server.port), path, str(body)]
    command += [str(connections), str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, timeout=seconds + 120)
    found: dict[str, float] = json.loads(done.stdout)
    if found["failed"]:
        raise SystemExit(f"{found['failed']} of {found['n']} requests to {path} failed")
    return found | {"cpu_us": 1e6 * (server.cpu_seconds() - before) / found["n"]}


def throughput(server: Server, bodies: dict[str, Path], given: argparse.Namespace) -> str:
    """Return the table of single predictions beside the constant endpoints."""
    cases = [
        ("constant, body as a dict", UNTYPED, bodies["plain"]),
        ("constant, body as models", TYPED, bodies["plain"]),
        ("constant, body as the server's models", STRICT, bodies["plain"]),
        ("prediction", ONE, bodies["plain"]),
        ("prediction with reasons", ONE, bodies["explained"]),
    ]
    found: dict[str, list[dict[str, float]]] = {name: [] for name, _, _ in cases}
    alone: dict[str, list[dict[str, float]]] = {name: [] for name, _, _ in cases}
    for turn in range(given.turns + 1):
        for name, path, body in cases:
            for runs, connections in ((found, 8), (alone, 1)):
                one = measured(server, path, body, connections=connections, seconds=given.seconds)
                if turn:  # the first is for warming up
                    runs[name].append(one)

    def middle(runs: dict[str, list[dict[str, float]]], name: str, key: str) -> float:
        return statistics.median(run[key] for run in runs[name])

    lines = [
        "| 8 connections | per second | CPU µs | of dict | of models | of the server's models "
        "| p50 ms | p99 ms | p99 to models | 1 connection: p50 ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    constants = [name for name, _, _ in cases[:3]]
    for name, _, _ in cases:
        ratios = [
            middle(found, name, "per_second") / middle(found, constant, "per_second")
            for constant in constants
        ]
        cells = [
            f"{middle(found, name, 'per_second'):,.0f}",
            f"{middle(found, name, 'cpu_us'):,.0f}",
            *(f"{ratio:.0%}" for ratio in ratios),
            f"{middle(found, name, 'p50_ms'):.2f}",
            f"{middle(found, name, 'p99_ms'):.2f}",
            f"{middle(found, name, 'p99_ms') / middle(found, constants[1], 'p99_ms'):.1f}",
            f"{middle(alone, name, 'p50_ms'):.2f}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def post(server: Server, path: str, body: bytes) -> tuple[float, bytes]:
    """Return the seconds of one request, and its answer."""
    url = f"http://127.0.0.1:{server.port}{path}"
    request = urllib.request.Request(url, data=body, headers=JSON)
    clock = time.perf_counter()
    with urllib.request.urlopen(request, timeout=300) as response:
        answer = response.read()
    return time.perf_counter() - clock, answer


def batches(server: Server, bundle: Any, given: argparse.Namespace) -> str:
    """Return the table of batches of 1,000 leads with 100 events each."""
    lines = ["| 1,000 leads x 100 events | seconds | CPU seconds |", "| --- | ---: | ---: |"]
    for name, explain in (("probabilities, tier, stage, hand-off", False), ("with reasons", True)):
        items = [request_of(bundle, seed=seed, explain=explain) for seed in range(1000)]
        body = as_body(items)
        wall, cpu = [], []
        for _ in range(given.turns + 1):
            before = server.cpu_seconds()
            seconds, answer = post(server, BATCH, body)
            wall.append(seconds)
            cpu.append(server.cpu_seconds() - before)
        assert all("error" not in item for item in json.loads(answer))
        told = f"{statistics.median(wall[1:]):.2f} | {statistics.median(cpu[1:]):.2f}"
        lines.append(f"| {name} | {told} |")
    return "\n".join(lines)


def beside_mlflow(server: Server, bodies: dict[str, Path], given: argparse.Namespace) -> str:
    """Return the table of `mlflow models serve` with the same bundle beside the server."""
    from intentcast.registry import _save_model

    rows = {}
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "model"
        _save_model(given.bundle, model)
        text = json.dumps({"dataframe_records": [{"request": bodies["plain"].read_text()}]})
        wrapped = Path(scratch) / "body.json"
        wrapped.write_text(text)
        port = free_port()
        program = str(Path(sys.executable).with_name("mlflow"))
        command = [program, "models", "serve", "-m", str(model), "-p", str(port)]
        command += ["-h", "127.0.0.1", "--env-manager", "local", "-w", "1"]
        with running(command, port, "/ping") as other:
            for name, one, path, body in (
                ("mlflow models serve", other, "/invocations", wrapped),
                ("intentcast serve", server, ONE, bodies["plain"]),
            ):
                runs = [
                    measured(one, path, body, connections=8, seconds=given.seconds)
                    for _ in range(given.turns + 1)
                ]
                rows[name] = statistics.median(run["per_second"] for run in runs[1:])
    lines = ["| 8 connections | per second | times mlflow's |", "| --- | ---: | ---: |"]
    for name, rate in rows.items():
        lines.append(f"| {name} | {rate:,.0f} | {rate / rows['mlflow models serve']:.1f} |")
    return "\n".join(lines)


def parity(given: argparse.Namespace) -> str:
    """Return the table of leads whose answers are compared with `score`."""
    folders = [Path("data/sample"), *sorted(given.real.iterdir() if given.real else [])]
    lines = [
        "| data set | step | leads | horizons | numbers | leads that differ |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for folder in folders:
        if not (folder / "dataset.toml").is_file():
            continue
        command = [sys.executable, "-P", str(HERE / "serving_parity.py"), str(folder)]
        done = subprocess.run([*command, str(given.leads)], check=True, stdout=subprocess.PIPE)
        found = json.loads(done.stdout)
        lines.append(
            f"| {folder.name} | {found['step']} | {found['leads']:,} | {found['horizons']} "
            f"| {found['numbers']:,} | {found['differing']} |"
        )
        sys.stderr.write(f"{lines[-1]}\n")
    return "\n".join(lines)


def soaked(server: Server, bundle: Any, given: argparse.Namespace) -> str:
    """Return the soak in words."""
    bodies = [as_body(request_of(bundle, seed=seed, explain=True)) for seed in range(200)]
    found = soak(
        server.port, server.pid, bodies, minutes=given.minutes, reload_seconds=given.reload_seconds
    )
    return (
        f"{found['seconds']:,.0f} seconds of requests with reasons over 4 connections, a reload "
        f"every {given.reload_seconds:g} seconds: {found['requests']:,} requests and "
        f"{found['reloads']} reloads, {found['failures']} failed. Resident memory "
        f"{found['first_mib']:,.0f} MiB once warm, {found['last_mib']:,.0f} MiB at the end "
        f"({found['growth']:+.1%})."
    )


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--minutes", type=float, default=5.0, help="of the soak; 0 for none")
    parser.add_argument("--reload-seconds", type=float, default=10.0)
    parser.add_argument("--mlflow", action="store_true", help="measure `mlflow models serve` too")
    parser.add_argument("--parity", action="store_true", help="compare with `score`")
    parser.add_argument("--leads", type=int, default=1000, help="of each data set")
    parser.add_argument("--real", type=Path, help="folder of data sets with a dataset.toml each")
    parser.add_argument("--only-parity", action="store_true")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    sections: dict[str, str] = {}
    if not given.only_parity:
        bundle = load_bundle(given.bundle)
        port = free_port()
        command = [sys.executable, "-P", str(HERE / "serving_server.py"), str(given.bundle)]
        with (
            tempfile.TemporaryDirectory() as scratch,
            running([*command, str(port), UNTYPED, TYPED, STRICT], port, "/readyz") as server,
        ):
            bodies = {}
            for name, explain in (("plain", False), ("explained", True)):
                bodies[name] = Path(scratch) / f"{name}.json"
                bodies[name].write_bytes(as_body(request_of(bundle, explain=explain)))
            size = bodies["plain"].stat().st_size
            sections["serving-one"] = (
                f"{size:,} bytes, {len(bundle.featurizer.spec.names)} features, step "
                f"{next(iter(bundle.models.values())).step}\n\n" + throughput(server, bodies, given)
            )
            sections["serving-batch"] = batches(server, bundle, given)
            if given.mlflow:
                sections["serving-mlflow"] = beside_mlflow(server, bodies, given)
            if given.minutes:
                sections["serving-soak"] = soaked(server, bundle, given)
    if given.parity or given.only_parity:
        sections["serving-parity"] = parity(given)
    for name, text in sections.items():
        sys.stdout.write(f"\n{name}\n\n{text}\n")
    if given.write:
        write_sections(given.write, sections)
    return 0


if __name__ == "__main__":
    sys.exit(main())
