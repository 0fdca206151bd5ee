"""The walks over a forest's trees: margins, and what each feature adds to them.

Trees are added up in their order, as LightGBM does, one row at a time: the same bits in any batch.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_ZERO, _NAN = 1, 2
_TINY = np.float64(np.float32(1e-35))
# Gauss-Legendre nodes and weights on [0, 1]; row m is exact for polynomials of degree 2m + 1.
_MOST_NODES = 16
_AT = np.zeros((_MOST_NODES, _MOST_NODES))
_WEIGHT = np.zeros((_MOST_NODES, _MOST_NODES))
for _m in range(_MOST_NODES):
    _x, _w = np.polynomial.legendre.leggauss(_m + 1)
    _AT[_m, : _m + 1], _WEIGHT[_m, : _m + 1] = (_x + 1.0) / 2.0, _w / 2.0


@njit(cache=True, nogil=True, inline="always")
def _goes_left(forest: Any, node: int, value: float) -> bool:
    """Decide as LightGBM's `Tree::NumericalDecision` does."""
    missing = forest.missing[node]
    if np.isnan(value):
        if missing == _NAN:
            return bool(forest.default_left[node])
        value = 0.0
    if missing == _ZERO and -_TINY <= value <= _TINY:
        return bool(forest.default_left[node])
    return bool(value <= forest.threshold[node])


@njit(cache=True, nogil=True)
def walk_margins(forest: Any, features: Floats, n_intervals: int, out: Floats) -> None:
    """Write the sum of leaf values of each row and interval.

    Args:
        forest: Trees over the features and, last where there are intervals, the interval's number.
        features: Shape (n, n_features).
        n_intervals: 0 where trees know of none.
        out: Shape (n, n_intervals or 1).
    """
    n_features = features.shape[1]
    n_trees = len(forest.first_node) - 1
    for row in range(features.shape[0]):
        for k in range(max(n_intervals, 1)):
            total = 0.0
            for tree in range(n_trees):
                first = forest.first_node[tree]
                node = 0 if forest.first_node[tree + 1] > first else -1
                while node >= 0:
                    at = first + node
                    feature = forest.feature[at]
                    value = features[row, feature] if feature < n_features else float(k)
                    node = forest.left[at] if _goes_left(forest, at, value) else forest.right[at]
                total += forest.leaf_value[forest.first_leaf[tree] + ~node]
            out[row, k] = total


@njit(cache=True, nogil=True)
def walk_parts(forest: Any, features: Floats, n_intervals: int, out: Floats) -> None:
    """Add each feature's part of the margin (TreeSHAP; Lundberg and others 2020) to `out`.

    On the way to a leaf with value v, let z_i be the share of training rows that go the leaf's way
    wherever feature i is asked, and o_i whether this row does. Feature j's part of the leaf is its
    Shapley value v · (o_j − z_j) · ∫₀¹ Π_{i≠j} (z_i·(1 − s) + o_i·s) ds; the integrand is a
    polynomial, so Gauss and Legendre's rule with enough nodes is exact.

    Args:
        forest: See `walk_margins`.
        features: One row, shape (n_features,).
        n_intervals: 0 where trees know of none.
        out: Shape (n_intervals or 1, n_features + (n_intervals > 0)); added to.
    """
    n_features = len(features)
    n_outs = max(n_intervals, 1)
    widest = 1
    for leaf in range(len(forest.first_slot) - 1):
        widest = max(widest, forest.first_slot[leaf + 1] - forest.first_slot[leaf])
    shares, ones, found = np.zeros(widest), np.zeros(widest), np.zeros(widest)
    for tree in range(len(forest.first_node) - 1):
        first = forest.first_node[tree]
        for leaf in range(forest.first_leaf[tree], forest.first_leaf[tree + 1]):
            start = forest.first_slot[leaf]
            n_slots = forest.first_slot[leaf + 1] - start
            # The intervals' slot: computed for those that go the leaf's way, and for the others.
            interval = -1
            for j in range(n_slots):
                shares[j] = forest.slot_share[start + j]
                feature = forest.slot_feature[start + j]
                if feature >= n_features:
                    interval = j
                    continue
                ones[j] = _all_on_the_way(forest, first, start + j, features[feature])
            if n_slots == 0:
                continue
            if interval < 0:
                _leaf_parts(forest.leaf_value[leaf], shares, ones, n_slots, found)
                for j in range(n_slots):
                    feature = forest.slot_feature[start + j]
                    for k in range(n_outs):
                        out[k, feature] += found[j]
                continue
            for side in range(2):
                ones[interval] = float(side)
                is_done = False
                for k in range(n_outs):
                    if _all_on_the_way(forest, first, start + interval, float(k)) != side:
                        continue
                    if not is_done:
                        _leaf_parts(forest.leaf_value[leaf], shares, ones, n_slots, found)
                        is_done = True
                    for j in range(n_slots):
                        out[k, forest.slot_feature[start + j]] += found[j]


@njit(cache=True, nogil=True)
def _all_on_the_way(forest: Any, first: int, slot: int, value: float) -> float:
    """Return 1 if a value goes the leaf's way wherever the slot's feature is asked, else 0."""
    for at in range(forest.first_step[slot], forest.first_step[slot + 1]):
        step = forest.step[at]
        if step >= 0:
            if not _goes_left(forest, first + step, value):
                return 0.0
        elif _goes_left(forest, first + ~step, value):
            return 0.0
    return 1.0


@njit(cache=True, nogil=True)
def _leaf_parts(value: float, shares: Floats, ones: Floats, n: int, found: Floats) -> None:
    """Write each slot's part of one leaf; see `walk_parts`."""
    rule = min((n - 1) // 2, _MOST_NODES - 1)
    found[:n] = 0.0
    for node in range(rule + 1):
        s = _AT[rule, node]
        product = _WEIGHT[rule, node] * value
        for j in range(n):
            product *= shares[j] * (1.0 - s) + ones[j] * s
        for j in range(n):
            found[j] += product / (shares[j] * (1.0 - s) + ones[j] * s)
    for j in range(n):
        found[j] *= ones[j] - shares[j]
