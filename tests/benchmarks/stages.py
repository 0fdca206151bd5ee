"""Do the stages say where leads really stand? Simulated worlds whose true states are known.

    python tests/benchmarks/stages.py --write docs/handoff.md

The signals of `models/handoff.toml` were set on the worlds of seeds 901 and 902; the worlds here
have other seeds and were looked at once.
"""

import argparse
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pages import write_sections

from intentcast.config import read_settings
from intentcast.handoff import HandoffSettings
from intentcast.shipped import shipped
from intentcast.simulation import simulate, write_world
from intentcast.simulation.block import join_blocks, live_block
from intentcast.simulation.buying import State
from intentcast.simulation.clock import DAY, N_DAYS, START
from intentcast.simulation.tables import ids
from intentcast.sources import load_dataset
from intentcast.stages import STAGES, stage_snapshots

SEEDS = (911, 912, 913, 914, 915)
N_LEADS = 3000
EVERY_DAYS = 28
# The two ladders of names: interest is still awareness, evaluation is consideration.
STEP_OF_STAGE = {"awareness": 0, "interest": 0, "evaluation": 1, "pre-deal": 2}
STEP_OF_STATE = {State.UNAWARE: 0, State.AWARENESS: 0, State.CONSIDERATION: 1, State.DECISION: 2}
STEPS = ("awareness", "consideration", "decision")


def true_states(seed: int) -> pl.DataFrame:
    """Return `lead_id`, `as_of`, `state` and `is_member` of every open lead, every four weeks."""
    blocks = []
    while (missing := N_LEADS - sum(len(b.leads.person) for b in blocks)) > 0:
        blocks.append(live_block(seed, len(blocks), max_leads=missing))
    block = join_blocks(blocks)
    leads, lead_ids, parts = block.leads, ids("L", block.leads.created_at), []
    for day in range(N_DAYS // 4, N_DAYS, EVERY_DAYS):
        is_open = (leads.created_at < day * DAY) & (day * DAY <= leads.closed_at)
        here = np.flatnonzero(is_open)
        parts.append(
            pl.DataFrame(
                {
                    "lead_id": lead_ids.gather(here),
                    "as_of": pl.Series(
                        [START + timedelta(days=day)] * len(here), dtype=pl.Datetime("us", "UTC")
                    ),
                    "state": block.paths[leads.account[here], day],
                    "is_member": block.people.is_committee[leads.person[here]],
                }
            )
        )
    return pl.concat(parts)


def told_and_true(seed: int) -> pl.DataFrame:
    """Return one row per open committee member and as-of time: `state` and the `stage` told."""
    settings = read_settings(
        shipped("handoff.toml", in_checkout="models/handoff.toml"), HandoffSettings
    )
    with tempfile.TemporaryDirectory() as folder:
        write_world(simulate(n_leads=N_LEADS, seed=seed, name=f"world-{seed}"), Path(folder))
        dataset = load_dataset(Path(folder))
    accounts = dataset.leads.select("lead_id", "account_id")
    rows = true_states(seed).filter("is_member").join(accounts, on="lead_id")
    return rows.with_columns(stage_snapshots(settings.signals, dataset, rows), seed=pl.lit(seed))


def confusion(rows: pl.DataFrame) -> list[str]:
    """Return the table of true states against stages, in shares of each state's rows."""
    names = {
        "unaware": [State.UNAWARE],
        "awareness": [State.AWARENESS],
        "consideration": [State.CONSIDERATION],
        "decision": [State.DECISION],
        "stalled in awareness": [State.STALLED_AWARENESS],
        "stalled in consideration": [State.STALLED_CONSIDERATION],
        "stalled in decision": [State.STALLED_DECISION],
    }
    lines = [
        f"| true state | leads × times | {' | '.join(STAGES)} |",
        f"| --- | ---: |{' ---: |' * len(STAGES)}",
    ]
    for name, states in names.items():
        stages = rows.filter(pl.col("state").is_in([int(s) for s in states]))["stage"]
        shares = " | ".join(f"{(stages == stage).mean():.0%}" for stage in STAGES)
        lines.append(f"| {name} | {len(stages):,} | {shares} |")
    return lines


def steps_of(rows: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return true and told steps of the rows that stand on a step (not stalled, not closed)."""
    steps = {int(state): step for state, step in STEP_OF_STATE.items()}
    active = rows.filter(pl.col("state").is_in(list(steps)))
    true = active["state"].replace_strict(steps, return_dtype=pl.Int64).to_numpy()
    return true, active["stage"].replace_strict(STEP_OF_STAGE, return_dtype=pl.Int64).to_numpy()


def measured(rows: pl.DataFrame) -> list[str]:
    """Return the page's section."""
    true, told = steps_of(rows)
    lines = [
        f"{len(SEEDS)} worlds of {N_LEADS:,} leads (seeds {SEEDS[0]} to {SEEDS[-1]}), every "
        f"{EVERY_DAYS} days, open leads of the buying committee. Shares of each row:",
        "",
        *confusion(rows),
        "",
        "On the three steps that the simulation knows (awareness and interest are its awareness, "
        "evaluation its consideration, pre-deal its decision), leads that are not stalled:",
        "",
        "| step | true | told | of the true, told so | of those told, true |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for step, name in enumerate(STEPS):
        is_true, is_told = true == step, told == step
        both = (is_true & is_told).sum()
        lines.append(
            f"| {name} | {is_true.sum():,} | {is_told.sum():,} | {both / is_true.sum():.0%} | "
            f"{both / is_told.sum():.0%} |"
        )
    majority = max((true == step).mean() for step in range(len(STEPS)))
    recall = np.mean([(told[true == step] == step).mean() for step in range(len(STEPS))])
    each = [np.equal(*steps_of(rows.filter(seed=seed))).mean() for seed in SEEDS]
    lines += [
        "",
        f"Right: {(true == told).mean():.1%} (worlds: {min(each):.1%} to {max(each):.1%}); always "
        f"saying awareness is right in {majority:.1%}. Mean of the three shares of the true: "
        f"{recall:.1%}, against {1 / len(STEPS):.1%}. At most one step off: "
        f"{(abs(true - told) <= 1).mean():.1%}.",
    ]
    return lines


def main() -> None:
    """Measure and print, or write into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="a page with the two markers")
    wanted = parser.parse_args()
    rows = pl.concat([told_and_true(seed) for seed in SEEDS])
    text = "\n".join(measured(rows))
    if wanted.write is None:
        sys.stdout.write(text + "\n")
        return
    write_sections(wanted.write, {"stages": text})


if __name__ == "__main__":
    main()
