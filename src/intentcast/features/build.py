"""Features of snapshots: the one place where families come together, for batch and server alike."""

import dataclasses
import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numba import njit

from intentcast.config import DatasetConfig
from intentcast.features.columns import FAMILIES
from intentcast.features.encode import encode_dataset
from intentcast.features.fit import read_fit, write_fit
from intentcast.features.kernel.account import walk_accounts
from intentcast.features.kernel.arrays import DAY_US, Codes, Floats, Histories, Plan, Singles
from intentcast.features.kernel.contents import walk_contents
from intentcast.features.kernel.days import walk_days
from intentcast.features.kernel.decay import walk_decay
from intentcast.features.kernel.rhythm import walk_rhythm
from intentcast.features.kernel.sharing import walk_sharing
from intentcast.features.kernel.windows import walk_windows
from intentcast.features.requests import encode_histories
from intentcast.features.spec import FeatureSpec
from intentcast.features.themes import ThemeModel
from intentcast.features.vocabulary import Vocabulary
from intentcast.histories import LeadHistory
from intentcast.sources import Dataset


@dataclass(frozen=True)
class FeatureMatrix:
    """Features in the specification's order.

    Attributes:
        names: Shape (n_features,).
        values: Shape (n_snapshots, n_features), single precision, each feature's column contiguous.
    """

    names: list[str]
    values: Singles

    @property
    def doubles(self) -> Floats:
        """The values in double precision, each snapshot's row contiguous, as learners read them."""
        return np.ascontiguousarray(self.values, dtype=np.float64)


class FeatureRow(Mapping[str, float]):
    """One snapshot's features by name; nothing is copied until it is asked for.

    Args:
        place: The column of each name.
        values: Shape (n_features,).
    """

    def __init__(self, place: Mapping[str, int], values: Floats) -> None:
        self._place, self._values = place, values

    def __getitem__(self, name: str) -> float:
        return float(self._values[self._place[name]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)

    def __len__(self) -> int:
        return len(self._place)


@dataclass(frozen=True)
class Featurizer:
    """What training time taught about features: vocabulary and themes."""

    spec: FeatureSpec
    themes: ThemeModel

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """Numbers of what was learnt."""
        return Vocabulary(self.spec, self.themes)

    @functools.cached_property
    def place(self) -> dict[str, int]:
        """The column of each feature."""
        return {name: i for i, name in enumerate(self.spec.names)}

    @functools.cached_property
    def plan(self) -> Plan:
        """What the kernel computes and where it goes."""
        return plan_of(self.spec)

    @functools.cached_property
    def complete(self) -> "Featurizer":
        """The same vocabulary with every family on."""
        if set(self.spec.families) == set(FAMILIES):
            return self
        return Featurizer(dataclasses.replace(self.spec, families=FAMILIES), self.themes)

    def enough_for(self, names: Collection[str]) -> "Featurizer":
        """Return the same vocabulary with only the families on that some of the features are of."""
        wanted = frozenset(names)
        families = {column.family for column in self.spec.columns if column.name in wanted}
        if families == set(self.spec.families):
            return self
        kept = tuple(family for family in self.spec.families if family in families)
        return Featurizer(dataclasses.replace(self.spec, families=kept), self.themes)

    def transform(
        self, dataset: Dataset, snapshots: pl.DataFrame, *, room: Singles | None = None
    ) -> FeatureMatrix:
        """Return the features of each snapshot, from what was known strictly before its as-of time.

        Args:
            dataset: Any data set with the same meaning; unseen vocabulary counts as `other`.
            snapshots: `lead_id`, `account_id`, `as_of`; rows in any order.
            room: At least n_features · n_snapshots numbers to write into, shape (n,), used again
                and again by a caller that has done with the last matrix; else new memory.

        Returns:
            One row per snapshot, in their order; bit-identical for any other rows in the batch.
        """
        histories = encode_dataset(dataset, snapshots, self.vocabulary)
        return self._computed(histories, *read_fit(dataset, snapshots, self.vocabulary), room)

    def transform_histories(
        self, histories: Sequence[LeadHistory], config: DatasetConfig
    ) -> FeatureMatrix:
        """Return the features of histories as a service sends them, each at its own as-of time.

        The same numbers as `transform` gives for the same lead, to the bit.

        Args:
            histories: Each of one lead and its account.
            config: Of the data that they are like.
        """
        read = encode_histories(histories, self.vocabulary, config)
        return self._computed(read.histories, read.numbers, read.levels)

    def _computed(
        self, histories: Histories, numbers: Floats, levels: Codes, room: Singles | None = None
    ) -> FeatureMatrix:
        spec, n = self.spec, len(histories.as_of)
        size = len(spec.names) * n
        values = np.empty(size, dtype=np.float32) if room is None else room[:size]
        values = values.reshape(len(spec.names), n)
        compute(self.plan, histories, values)
        write_fit(spec, numbers, levels, values)
        return FeatureMatrix(spec.names, values.T)


def plan_of(spec: FeatureSpec) -> Plan:
    """Return what the kernel needs to know of a specification."""
    shape, first = spec.shape, spec.first_column
    n_themes = len(shape.themes)
    first_theme = 1 + len(shape.types)
    first_channel = first_theme + n_themes
    core = [name in spec.core_themes for name in spec.themes]
    n_coherence = (2 + any(core)) * len(shape.coherent) + n_themes
    n_focus = len(shape.focus_groups)

    def after(start: int, n: int) -> int:
        return start + n if start >= 0 else -1

    return Plan(
        half_lives=np.array(shape.half_lives_days) * DAY_US,
        windows=np.array(shape.windows_days, dtype=np.int64) * DAY_US,
        first_theme=first_theme,
        first_channel=first_channel,
        n_groups=len(shape.groups),
        core=np.array([*core, False], dtype=np.bool_),
        coherent=np.array(shape.coherent, dtype=np.int64),
        middle=shape.middle,
        has_values=shape.has_values,
        has_durations=shape.has_durations,
        has_ranks=shape.has_seniority,
        recency=first["recency"],
        last=first["last"],
        counts=first["counts"],
        value=first["value"],
        consistency=first["consistency"],
        coherence=first["coherence"],
        breadth=after(first["coherence"], n_coherence),
        acceleration=first["acceleration"],
        visits=first["escalation"],
        contents=after(first["escalation"], n_focus),
        dormancy=first["dormancy"],
        account=first["account"] if shape.has_accounts else -1,
        lifecycle=first["lifecycle"],
    )


def compute(plan: Plan, histories: Histories, out: Singles) -> None:
    """Walk every family that is on.

    Args:
        plan: What is computed and where it goes.
        histories: What is walked over.
        out: Shape (n_features, n_snapshots); written whole but for the fit's rows.
    """
    _walk(histories, plan, out)
    place = histories.place
    if len(place) > 1 and not bool((place == np.arange(len(place))).all()):
        out[:, place] = out.copy()


# One call for all of them: handing over so many arrays takes as long as a short history's walks.
@njit(cache=True, nogil=True)
def _walk(x: Histories, plan: Plan, out: Singles) -> None:
    if max(plan.recency, plan.last, plan.value, plan.coherence, plan.acceleration) >= 0:
        walk_decay(x, plan, out)
    if max(plan.counts, plan.value, plan.breadth) >= 0:
        walk_windows(x, plan, out)
    if plan.consistency >= 0:
        walk_days(x, plan, out)
    if plan.contents >= 0:
        walk_contents(x, plan, out)
    if max(plan.visits, plan.dormancy, plan.lifecycle) >= 0:
        walk_rhythm(x, plan, out)
    if plan.account >= 0:
        walk_accounts(x, plan, out)
        walk_sharing(x, plan, out)
