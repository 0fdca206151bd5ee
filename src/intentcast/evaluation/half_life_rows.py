"""Training snapshots for `propensity.half_lives`: groups' sums, and what is held fixed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from intentcast.features import FAMILIES, FeatureMatrix, Featurizer
from intentcast.features.columns import ANY
from intentcast.features.spec import OTHER
from intentcast.labels import label_snapshots, was_at_risk
from intentcast.propensity.half_lives import HALF_LIVES_DAYS
from intentcast.propensity.logistic import fit_logistic
from intentcast.propensity.margins import Floats
from intentcast.snapshots import account_numbers
from intentcast.sources import Dataset
from intentcast.training import TrainedModel

Kind = Literal["all activity", "event type", "theme"]
# Other groups are held fixed at these half-lives. With fewer, their memory is taken for the
# group's own (measured: coverage of a 90 % interval falls to 0.5 with one, 0.8 with three).
_HELD_DAYS = (3.0, 14.0, 45.0, 120.0)
_FOLDS = 5
_FIT_INVERSE_PENALTY = 0.03
_NEEDED = ("recency", "account", "lifecycle", "fit")
_AREAS: dict[Kind, str] = {"all activity": "engagement", "event type": "activity", "theme": "theme"}


@dataclass(frozen=True)
class Group:
    """Events whose half-life is asked for.

    Attributes:
        kind: What kind of group.
        name: As the data or the team call it.
        slug: As feature names call it.
    """

    kind: Kind
    name: str
    slug: str


@dataclass(frozen=True)
class HalfLifeRows:
    """Mature training snapshots with every group's sums over the grid of half-lives.

    Attributes:
        groups: All activity, then event types, then themes, `other` last of each.
        features: Of all training snapshots.
        mature: Which of them have a label.
        converted: 0 or 1, shape (n,), of the mature ones, like what follows.
        clusters: Account numbers.
        times: As-of times in microseconds.
    """

    groups: tuple[Group, ...]
    features: FeatureMatrix
    mature: NDArray[np.bool_]
    converted: Floats
    clusters: NDArray[np.int64]
    times: NDArray[np.int64]

    def sums(self, group: Group) -> Floats:
        """Return S_h of each snapshot, shape (n, n_half_lives)."""
        return self._ladder(f"{_AREAS[group.kind]}.recency_weighted.{group.slug}", HALF_LIVES_DAYS)

    @cached_property
    def held_alone(self) -> Floats:
        """What is held fixed anyway, shape (n, n_controls).

        The lead's age and its logarithm; the as-of time; colleagues' activity at four half-lives;
        how likely the attributes alone make a conversion.
        """
        age = self._column("lifecycle.age.lead.days")
        columns = [age, np.log1p(age), self.times / 86_400_000_000]
        colleagues = f"account.colleagues_recency_weighted.{ANY}"
        if _with_unit(colleagues, _HELD_DAYS[0]) in self._place:
            columns += list(np.log1p(self._ladder(colleagues, _HELD_DAYS)).T)
        return np.column_stack([*columns, self._fit_margin()])

    def held_beside(self, group: Group) -> Floats:
        """Return what is held fixed to see what a group adds to the others of its kind.

        Beside what is held fixed anyway, `log(1 + S_h)` of each of the others at four half-lives.

        Returns:
            Shape (n, n_controls).
        """
        rivals = [g for g in self.groups if g.kind == group.kind and g != group]
        return np.column_stack([self.held_alone, *(self._levels(rival) for rival in rivals)])

    def n_accounts(self, group: Group) -> int:
        """Return how many accounts have such an event in a snapshot."""
        longest = self.sums(group)[:, -1]
        return len(np.unique(self.clusters[longest > 0]))

    def _fit_margin(self) -> Floats:
        """Return log-odds by attributes alone, each account's learnt from other accounts.

        One column in place of one per level: a few hundred converting accounts cannot bear fifty,
        whose errors would make every half-life look longer.
        """
        names = [name for name in self._place if name.startswith("fit.")]
        margin = np.zeros(len(self.converted))
        if not names:
            return margin
        attributes = np.column_stack([self._column(name) for name in names])
        fold = self.clusters % _FOLDS
        for held_out in range(_FOLDS):
            others = fold != held_out
            if len(np.unique(self.converted[others])) < 2:
                return np.zeros(len(self.converted))
            learnt = fit_logistic(
                attributes[others],
                self.converted[others],
                names=names,
                inverse_penalty=_FIT_INVERSE_PENALTY,
            )
            margin[~others] = learnt.margins(attributes[~others])
        return margin

    def _levels(self, group: Group) -> Floats:
        name = f"{_AREAS[group.kind]}.recency_weighted.{group.slug}"
        return np.log1p(self._ladder(name, _HELD_DAYS))

    def _ladder(self, name: str, days: tuple[float, ...]) -> Floats:
        return np.column_stack([self._column(_with_unit(name, h)) for h in days])

    def _column(self, name: str) -> Floats:
        column = self.features.values[:, self._place[name]]
        out: Floats = column[self.mature].astype(np.float64)
        return out

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.features.names)}


def half_life_rows(model: TrainedModel, dataset: Dataset) -> HalfLifeRows:
    """Compute the sums of a model's training snapshots over the grid, with the model's groups."""
    spec = replace(
        model.featurizer.spec,
        half_lives_days=HALF_LIVES_DAYS,
        families=tuple(family for family in FAMILIES if family in _NEEDED),
    )
    snapshots, known_by = model.snapshots, model.known_by
    features = Featurizer(spec, model.featurizer.themes).transform(dataset, snapshots)
    label = label_snapshots(
        snapshots, dataset, horizon_days=model.tiers.horizon_days, known_by=known_by
    )
    at_risk = was_at_risk(snapshots, dataset, known_by=known_by)
    mature = (label.is_not_null() & at_risk).to_numpy()
    return HalfLifeRows(
        groups=tuple(_groups(model)),
        features=features,
        mature=mature,
        converted=label.fill_null(value=False).to_numpy()[mature].astype(np.float64),
        clusters=account_numbers(snapshots["account_id"])[mature],
        times=snapshots["as_of"].dt.timestamp("us").to_numpy()[mature],
    )


def _groups(model: TrainedModel) -> Iterator[Group]:
    spec = model.featurizer.spec
    yield Group("all activity", ANY, ANY)
    for name, slug in zip((*spec.event_types, OTHER), spec.type_names, strict=True):
        yield Group("event type", name, slug)
    for name, slug in zip((*spec.themes, OTHER), spec.theme_names, strict=True):
        yield Group("theme", name, slug)


def _with_unit(name: str, days: float) -> str:
    return f"{name}.{days:g}d_halflife"
