"""A LightGBM text model as arrays, walked here: the same bits for a row in any batch, at any time.

LightGBM itself is needed for training only. Its text is read after `trees.checked_trees` or
straight from training; margins are those that LightGBM gives, to the bit (a test compares them).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from intentcast.propensity.walks import Floats, Ints

# Bits of a decision type: NaN goes left; what is missing: nothing, zero or NaN.
_LEFT, _ZERO, _NAN = 2, 1, 2
_TABLE = 16  # nodes of the widest quadrature


class Forest(NamedTuple):
    """Trees one after another; a child below 0 is a leaf, ~child.

    Attributes:
        first_node: Of each tree, shape (n_trees + 1,).
        first_leaf: Likewise.
        feature: Of each node.
        threshold: At most goes left.
        missing: What is missing at a node: 0 nothing (NaN is 0), 1 zero, 2 NaN.
        default_left: Whether what is missing goes left.
        left: Inside the tree.
        right: Likewise.
        leaf_value: Of each leaf.
        first_slot: Of each leaf, shape (n_leaves + 1,).
        slot_feature: A feature on the way to the leaf, each once.
        slot_share: Share of the training rows that go the leaf's way wherever it is asked.
        first_step: Of each slot, shape (n_slots + 1,).
        step: A node where the feature is asked, inside the tree; ~node where the way goes right.
        expected: Sum over trees of the mean leaf value.
    """

    first_node: Ints
    first_leaf: Ints
    feature: Ints
    threshold: Floats
    missing: NDArray[np.uint8]
    default_left: NDArray[np.bool_]
    left: Ints
    right: Ints
    leaf_value: Floats
    first_slot: Ints
    slot_feature: Ints
    slot_share: Floats
    first_step: Ints
    step: Ints
    expected: float


def read_forest(text: str) -> Forest:
    """Read LightGBM's text; every number in it has been checked.

    Raises:
        ValueError: If a column is of another length than the tree says.
    """
    trees = [_fields(block) for block in text.partition("end of trees")[0].split("\nTree=")[1:]]
    nodes, leaves = [0], [0]
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    slots = _Slots()
    expected = 0.0
    for tree in trees:
        n_leaves = int(tree["num_leaves"])
        read = {name: _column(tree, name, n_leaves) for name in _COLUMNS}
        for name, values in read.items():
            columns[name].append(values)
        nodes.append(nodes[-1] + n_leaves - 1)
        leaves.append(leaves[-1] + n_leaves)
        expected += _expected(read)
        _add_slots(slots, read, n_leaves)
    whole = {name: np.concatenate(parts) for name, parts in columns.items() if parts}
    kinds = whole["decision_type"].astype(np.uint8)
    return Forest(
        first_node=np.array(nodes),
        first_leaf=np.array(leaves),
        feature=whole["split_feature"].astype(np.int64),
        threshold=whole["threshold"],
        missing=((kinds >> 2) & 3).astype(np.uint8),
        default_left=(kinds & _LEFT) != 0,
        left=whole["left_child"].astype(np.int64),
        right=whole["right_child"].astype(np.int64),
        leaf_value=whole["leaf_value"],
        first_slot=np.array(slots.first_slot),
        slot_feature=np.array(slots.feature, dtype=np.int64),
        slot_share=np.array(slots.share, dtype=np.float64),
        first_step=np.array(slots.first_step),
        step=np.array(slots.step, dtype=np.int64),
        expected=expected,
    )


_NODES = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
_COLUMNS = (*_NODES, "internal_count", "leaf_value", "leaf_count")


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in block.split("\n"))
    return {key: value for key, mark, value in pairs if mark}


def _column(tree: Mapping[str, str], name: str, n_leaves: int) -> Floats:
    values = np.array(tree.get(name, "").split(), dtype=np.float64)
    wanted = n_leaves if name.startswith("leaf") else n_leaves - 1
    if n_leaves == 1 and name == "leaf_count":
        return np.ones(1)
    if len(values) != wanted:
        raise ValueError(f"{len(values)} of {name} where {wanted} are expected")
    return values


def _expected(tree: Mapping[str, Floats]) -> float:
    counts = tree["leaf_count"]
    return float((tree["leaf_value"] * (counts / counts.sum())).sum())


class _Slots:
    """Grows leaf by leaf; see `Forest`."""

    def __init__(self) -> None:
        self.first_slot, self.first_step = [0], [0]
        self.feature: list[int] = []
        self.share: list[float] = []
        self.step: list[int] = []


def _add_slots(slots: _Slots, tree: Mapping[str, Floats], n_leaves: int) -> None:
    """Add each leaf's way: which features are asked on it, where, and the share that goes it."""
    ways: list[list[int]] = [[] for _ in range(n_leaves)]
    waiting: list[tuple[int, list[int]]] = [(0, [])] if n_leaves > 1 else []
    left, right = tree["left_child"].astype(int).tolist(), tree["right_child"].astype(int).tolist()
    while waiting:
        node, way = waiting.pop()
        for child, step in ((left[node], node), (right[node], ~node)):
            if child >= 0:
                waiting.append((child, [*way, step]))
            else:
                ways[~child] = [*way, step]
    of_node, of_leaf = tree["internal_count"].tolist(), tree["leaf_count"].tolist()
    feature = tree["split_feature"].astype(int).tolist()
    for way in ways:
        of_feature: dict[int, list[int]] = {}
        for step in way:
            of_feature.setdefault(feature[step if step >= 0 else ~step], []).append(step)
        for number, steps in of_feature.items():
            share = 1.0
            for step in steps:
                node = step if step >= 0 else ~step
                child = left[node] if step >= 0 else right[node]
                share *= (of_node[child] if child >= 0 else of_leaf[~child]) / of_node[node]
            slots.feature.append(number)
            slots.share.append(share)
            slots.step += steps
            slots.first_step.append(len(slots.step))
        slots.first_slot.append(len(slots.feature))
