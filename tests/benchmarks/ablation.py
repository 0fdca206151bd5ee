"""Average precision with each family of features left out in turn.

    python tests/benchmarks/ablation.py SCRATCH [--write docs/ablation.md]

Fits what `intentcast backtest` fits for the primary horizon: the same windows, vocabulary, choice
between logistic regression and LightGBM, and calibration; five times, with the learner's seed 1 to
5, on the matrix without a family's columns, which is the matrix with that family off. Themes are
clustered once. Everything is kept in SCRATCH, so that a run that was stopped goes on; after a
change to features, begin with an empty one.

The data sets: the sample, Complete Journey (from the extra `examples`), and those of
`tests/test_real_data.py` where they are beside the checkout. It takes half an hour of two cores.
"""

import argparse
import functools
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from ablation_fits import Fits, fit
from ablation_summary import Gain, Ranking, gain, rank
from ablation_windows import AND, BEFORE, FULL, Window, write_windows
from pages import write_sections

from intentcast.config import LearnerConfig, read_settings
from intentcast.examples.complete_journey import write_complete_journey
from intentcast.features import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(1, 6)
# Neighbouring folds of the sample test the same leads: half of them cost half.
LAST_FOLDS = 2
Rankings = dict[str, dict[str, Ranking]]


def data_sets(scratch: Path) -> list[Path]:
    """Make the data set folders under `scratch`, where they are not there yet."""
    sys.path.insert(0, str(ROOT))
    from tests.test_real_data import SETTINGS, SHARED

    out = []
    for name, settings in SETTINGS.items():
        folder = scratch / name
        if not folder.is_dir() and (SHARED / name).is_dir():
            shutil.copytree(SHARED / name, folder, copy_function=shutil.copyfile)
            folder.chmod(0o755)
            (folder / "dataset.toml").write_text(settings)
        if folder.is_dir():
            out.append(folder)
    journey = scratch / "complete_journey"
    if not journey.is_dir():
        write_complete_journey(journey)
    return [*out, journey, ROOT / "data" / "sample"]


def variants(window: Window, off: str) -> list[str]:
    """Return all families, those that the settings leave on, and each one left out."""
    whole = dict.fromkeys((FULL, off or FULL, BEFORE))
    return [*whole, *(f for f in FAMILIES if f in window.families and f != off)]


def fitted(window: Path, variant: str, kept: Path, config: LearnerConfig) -> Path:
    """Fit one variant on one window, unless that was done before; return where it is kept."""
    at = kept / variant.replace(" ", "_") / window.name
    if not at.exists():
        found = Window.load(window)
        fit(found, found.columns(variant), config, SEEDS).save(at)
        sys.stdout.write(f"{at.relative_to(kept.parent)}\n")
    return at


def measure(scratch: Path, config: LearnerConfig, processes: int, off: str) -> Rankings:
    """Fit every variant on every window, a few at a time, and rank them."""
    everything = config.features.model_copy(update={"without": ()})
    config = config.model_copy(update={"features": everything})
    jobs: list[tuple[str, Path, str]] = []
    for folder in data_sets(scratch / "sets"):
        target = scratch / "windows" / folder.name
        for path in write_windows(folder, target, config, last_folds=LAST_FOLDS):
            jobs += [(folder.name, path, variant) for variant in variants(Window.load(path), off)]
    # All data sets' whole matrices first: a run that is stopped has said what matters most.
    jobs.sort(key=lambda job: job[2] not in (FULL, off, BEFORE))
    # Kept apart by settings: a fit under other settings is another fit.
    kept = scratch / f"fits-{zlib.crc32(config.model_dump_json().encode()):08x}"
    with ProcessPoolExecutor(processes) as pool:
        run = functools.partial(_job, kept=kept, config=config)
        paths = dict(zip(jobs, pool.map(run, jobs), strict=True))
    out: Rankings = {}
    for name, _, variant in jobs:
        mine = [(w, p) for (n, w, v), p in paths.items() if (n, v) == (name, variant)]
        if variant not in out.setdefault(name, {}):
            windows = [Window.load(w) for w, _ in mine]
            out[name][variant] = rank(windows, [Fits.load(p) for _, p in mine])
    return out


def _job(job: tuple[str, Path, str], kept: Path, config: LearnerConfig) -> Path:
    name, window, variant = job
    return fitted(window, variant, kept / name, config)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, all but the first column to the right."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def totals(found: Rankings, off: str) -> list[list[str]]:
    """Return a row per data set and set of columns."""
    titles = {off: f"without {off}", FULL: FULL, BEFORE: BEFORE}
    return [
        [
            f"{name}, {titles[variant]}",
            str(r.n_columns),
            f"{r.champion.mean():.4f} ± {r.champion.std(ddof=1):.4f}",
            f"{r.steps[0].mean():.4f}",
            f"{r.steps[1].mean():.4f} ± {r.steps[1].std(ddof=1):.4f}",
            f"{r.n_fits - r.n_boosted} : {r.n_boosted}",
            ", ".join(f"{penalty:g}" for penalty in r.penalties),
        ]
        for name, by in found.items()
        for variant, r in by.items()
        if variant in titles
    ]


def gains(found: Rankings, off: str, say: Callable[[Gain], str]) -> list[list[str]]:
    """Return a row per family, one for those off by default, one for all new ones."""
    titles = {family: f"`{family}`" for family in FAMILIES}
    if off:
        titles.setdefault(off, f"*{off.replace(AND, ' and ')}*")
    titles[BEFORE] = "*all since the first version*"
    return [
        [
            title,
            *(say(gain(by[FULL], by[left])) if left in by else "none" for by in found.values()),
        ]
        for left, title in titles.items()
    ]


def on_test(found: Gain) -> str:
    return f"{1000 * found.mean:+.1f} ± {1000 * found.spread:.1f} ({1000 * found.error:.1f})"


def per_step(found: Gain) -> str:
    return " / ".join(f"{1000 * step:+.1f}" for step in found.steps)


def in_training(found: Gain) -> str:
    loss = f"{1000 * found.inner_loss:+.2f} ({1000 * found.inner_error:.2f})"
    return f"{loss}, {1000 * found.inner:+.1f}"


def sections(found: Rankings, off: str) -> dict[str, str]:
    """Return the tables by the names of their marks in the page."""
    head = ["columns", "n", "champion", "logistic", "LightGBM", "chosen", "inverse penalty"]
    by_family = ["left out", *found]
    return {
        "totals": table(head, totals(found, off)),
        "test": table(by_family, gains(found, off, on_test)),
        "steps": table(by_family, gains(found, off, per_step)),
        "training": table(by_family, gains(found, off, in_training)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--write", type=Path, help="a page with the tables' marks")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--config", type=Path, default=ROOT / "models" / "conversion.toml")
    asked = parser.parse_args()
    # Each process fits on one thread.
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    config = read_settings(asked.config, LearnerConfig)
    off = AND.join(config.features.without)
    tables = sections(measure(asked.scratch, config, asked.processes, off), off)
    for name, body in tables.items():
        sys.stdout.write(f"\n{name}\n\n{body}\n")
    if asked.write:
        write_sections(asked.write, {f"ablation-{name}": body for name, body in tables.items()})


if __name__ == "__main__":
    main()
