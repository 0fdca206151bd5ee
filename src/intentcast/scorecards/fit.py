"""Attributes: which band of each axis a lead is in, and which rules there are for it."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.conditions import fulfilled
from intentcast.scorecards.kernel import Flags, Ints
from intentcast.scorecards.points import to_thousandths
from intentcast.scorecards.rulebook import Rulebook
from intentcast.scorecards.signatures import text_codes
from intentcast.snapshots import attributes_as_of
from intentcast.sources import Dataset


class Fit(NamedTuple):
    """What attributes, as they were known, say of each snapshot.

    Attributes:
        bands: Position among `card.attributes` of each axis's winning rule, −1 for none, shape
            (n, n_axes).
        switch: Row of `is_on` for each snapshot, shape (n,).
        is_on: Whether each behaviour rule is there, shape (n_switches, n_rules).
    """

    bands: Ints
    switch: Ints
    is_on: Flags


class FitPoints(NamedTuple):
    """Attribute points in thousandths: of each axis before caps, their sum, and that after caps."""

    axes: Ints
    raw: Ints
    capped: Ints


def read_attributes(book: Rulebook, dataset: Dataset, snapshots: pl.DataFrame) -> Fit:
    """Return the bands of each snapshot by what was known strictly before its as-of time.

    A column that neither leads nor accounts have is unknown for everyone, so that one card runs on
    data sets that know less.

    Args:
        book: Of the card.
        dataset: Its leads, accounts and changes of attributes.
        snapshots: `lead_id`, `as_of`, `account_id`.
    """
    tables = (dataset.leads, dataset.accounts)
    there = [c for c in book.attribute_columns if any(c in table.columns for table in tables)]
    known = attributes_as_of(dataset, snapshots, there) if there else pl.DataFrame()
    met: dict[str, Flags] = {}
    for column in book.attribute_columns:
        tests = book.tests(column)
        if column in there:
            codes, texts = text_codes(known[column])
            of_text = np.vstack([fulfilled(tests, texts), np.zeros((1, len(tests)), np.bool_)])
            met[column] = of_text[codes]
        else:
            met[column] = np.zeros((len(snapshots), len(tests)), dtype=np.bool_)
    return banded(book, met, len(snapshots))


def banded(book: Rulebook, met: Mapping[str, Flags], n: int) -> Fit:
    """Return bands and rules that are there, from which condition of each column is met.

    Args:
        book: Of the card.
        met: Per column the conditions of `Rulebook.tests`, shape (n, n_tests).
        n: Number of snapshots.
    """
    card = book.card
    place = {column: iter(range(flags.shape[1])) for column, flags in met.items()}
    bands = np.full((n, len(card.axes)), -1, dtype=np.int64)
    for position, rule in enumerate(card.attributes):
        of_axis = bands[:, card.axes.index(rule.axis)]
        of_axis[met[rule.column][:, next(place[rule.column])] & (of_axis < 0)] = position
    is_on = np.ones((1, len(card.behaviours)), dtype=np.bool_)
    switch = np.zeros(n, dtype=np.int64)
    if any(rule.lead for rule in card.behaviours):
        each = np.ones((n, len(card.behaviours)), dtype=np.bool_)
        for position, behaviour in enumerate(card.behaviours):
            for column in behaviour.lead:
                each[:, position] &= met[column][:, next(place[column])]
        is_on, switch = np.unique(each, axis=0, return_inverse=True)
    return Fit(bands, switch.reshape(n), is_on)


def fit_points(card: Scorecard, bands: Ints) -> FitPoints:
    """Return the points of bands, axis by axis up to their caps, and together up to theirs."""
    points = np.array([*(to_thousandths(r.points) for r in card.attributes), 0], dtype=np.int64)
    axes = points[bands]
    capped = axes.copy()
    for number, axis in enumerate(card.axes):
        if (cap := card.axis_caps.get(axis)) is not None:
            np.minimum(capped[:, number], to_thousandths(cap), out=capped[:, number])
    raw: Ints = capped.sum(axis=1)
    cap = card.attributes_cap
    return FitPoints(axes, raw, raw if cap is None else np.minimum(raw, to_thousandths(cap)))
