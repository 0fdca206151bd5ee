"""`intentcast demo`."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from intentcast.cli.console import progress

NAME = "demo"
HELP = (
    "The whole job in a few minutes: a simulated team's data, then real data, then HTTP.\n\n"
    "Backtests data/sample and The Complete Journey (2,469 real households, extra 'examples'), "
    "says whether the model beats the points table, explains one lead in words, starts the "
    "server, asks it for one prediction, prints the answer and stops it.\n\n"
    "Example: intentcast demo --out out/demo"
)
_START_SECONDS = 60


def run(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where reports go.")] = Path("out/demo"),
) -> None:
    """Run the demo."""
    from intentcast.cli.backtest import backtest, print_verdict
    from intentcast.examples.complete_journey import write_complete_journey
    from intentcast.shipped import shipped

    started = time.monotonic()
    sample = shipped("sample", in_checkout="data/sample")
    with progress() as say:
        _heading("1  A simulated B2B team (data/sample)")
        report, place = backtest(sample, out / "sample", None, say)
        print_verdict(report)
        print(f"Report: {place / 'report.html'}\n")

        bundle = _train(sample, out)
        _heading("2  One lead, explained")
        history = _explain_one(sample, bundle, say)

        _heading("3  Real data: The Complete Journey, 2,469 households")
        journey = out / "complete-journey-data"
        say("converting The Complete Journey")
        write_complete_journey(journey)
        report, place = backtest(journey, out / "complete-journey", None, say)
        print_verdict(report)
        print(f"Report: {place / 'report.html'}\n")

        _heading("4  One prediction over HTTP")
        say("starting the server")
        with running_server(bundle) as address:
            print(f"POST {address}/v1/predictions   (the answer, shortened)")
            print(_shortened(ask(f"{address}/v1/predictions", history)))
    print(f"\nDone in {time.monotonic() - started:.0f} s; the server is stopped.")


def _heading(text: str) -> None:
    print(f"{text}\n{'─' * len(text)}")


def _train(sample: Path, out: Path) -> Path:
    """Train as a user would, in a process of its own."""
    command = [sys.executable, "-m", "intentcast", "train", str(sample), "--json"]
    command += ["--out", str(out / "bundles"), "--registry", str(out / "registry")]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(done.returncode)
    return Path(json.loads(done.stdout)["bundle"])


def _explain_one(sample: Path, bundle: Path, say: Any) -> dict[str, Any]:
    """Print the hottest lead of the sample's last as-of time; return its history as a request."""
    import polars as pl

    from intentcast.cli.console import open_dataset
    from intentcast.cli.explain import in_words
    from intentcast.histories import history_from_dataset, history_to_json
    from intentcast.scoring import answer, load_bundle, score
    from intentcast.snapshots import cohort_span, snapshots_at

    dataset = open_dataset(sample, say)
    loaded = load_bundle(bundle)
    snapshots = snapshots_at(dataset, cohort_span(dataset).end)
    scores = score(loaded, dataset, snapshots).filter(
        pl.col("horizon_days") == loaded.primary_horizon_days
    )
    hottest = scores.sort("probability", "lead_id", descending=[True, False])["lead_id"][0]
    snapshot = snapshots.filter(pl.col("lead_id") == hottest)
    print("\n".join(in_words(answer(loaded, dataset, snapshot, explain=True))) + "\n")
    return history_to_json(history_from_dataset(dataset, snapshot))


@contextmanager
def running_server(bundle: Path) -> Iterator[str]:
    """Start the server in a process of its own; give its address; stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "intentcast", "serve", "--bundle", str(bundle)]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_until_ready(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with _opener().open(f"{address}/readyz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError("the server did not become ready")


def _opener() -> urllib.request.OpenerDirector:
    """Never by way of a proxy: the server is on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Post JSON and return the JSON answer."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with _opener().open(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def _shortened(answer: dict[str, Any]) -> str:
    """Return the answer as JSON for reading: four decimals, an item a line, long lists cut."""
    answer = {**answer, "reasons": [*answer["reasons"][:2], f"… {len(answer['reasons'])} in all"]}
    answer["handoff"] = {**answer["handoff"], "criteria": ["…"]}
    if answer["rules"]:
        answer["rules"] = {**answer["rules"], "ledger": ["… lines that add up to the score"]}
    answer["model"] = {**answer["model"], "sha256": answer["model"]["sha256"][:12] + "…"}
    answer = json.loads(json.dumps(answer), parse_float=lambda text: round(float(text), 4))
    lines = []
    for key, value in answer.items():
        if isinstance(value, list) and value:
            lines.append(f' "{key}": [')
            lines += [f"  {json.dumps(item, ensure_ascii=False)}," for item in value]
            lines[-1] = lines[-1].removesuffix(",")
            lines.append(" ],")
        else:
            lines.append(f' "{key}": {json.dumps(value, ensure_ascii=False)},')
    lines[-1] = lines[-1].removesuffix(",")
    return "\n".join(["{", *lines, "}"])
