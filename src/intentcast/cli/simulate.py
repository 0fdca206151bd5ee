"""`intentcast simulate`."""

from pathlib import Path
from typing import Annotated

import typer

from intentcast.cli.console import AsJson, progress, show

NAME = "simulate"
HELP = (
    "Write a simulated B2B data set whose true probabilities are known.\n\n"
    "Accounts with buying groups move through a latent buying state; what their people do follows "
    "from it. truth.parquet has, for each lead and week, the true P(convert within 30, 60, 90 "
    "days) given that state. The same seed writes the same files.\n\n"
    "Example: intentcast simulate --out out/world --leads 4000 --seed 7"
)


def run(
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new or empty folder.")],
    leads: Annotated[int, typer.Option(min=1, max=5_000_000, help="How many leads.")] = 4000,
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Simulate and write."""
    from intentcast.simulation import simulate, write_world

    with progress() as say:
        say(f"simulating {leads:,} leads")
        name = out.resolve().name
        is_name = name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        world = simulate(n_leads=leads, seed=seed, name=name if is_name else "simulated")
        say("writing")
        write_world(world, out)
    counts = {
        table: len(getattr(world, table))
        for table in ("leads", "accounts", "events", "outcomes", "truth")
    }
    if as_json:
        show({"out": str(out), "seed": seed, "rows": counts})
        return
    print(f"Wrote {out} (seed {seed}): " + ", ".join(f"{n:,} {t}" for t, n in counts.items()))
    print(f"Next: intentcast backtest {out}")
