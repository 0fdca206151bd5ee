"""Structural check of a LightGBM text model, before LightGBM sees a byte of it.

A damaged text aborts or hangs the process instead of raising (7357 in LightGBM's own tracker),
so header and trees are read here first, strictly: the known lines once each, sizes, ranges, finite
numbers, each node reached exactly once, and counts that add up, since contributions divide by them.
"""

import math
import re
from collections.abc import Mapping, Sequence

from intentcast.errors import BundleError

_HEADER = (
    "version",
    "num_class",
    "num_tree_per_iteration",
    "label_index",
    "max_feature_idx",
    "objective",
    "feature_names",
    "feature_infos",
    "tree_sizes",
)
_NODE_COLUMNS = ("split_gain", "threshold", "internal_value", "internal_weight")
_NODE_INTEGERS = ("split_feature", "decision_type", "left_child", "right_child", "internal_count")
_TREE = (
    "Tree",
    "num_leaves",
    "num_cat",
    *_NODE_COLUMNS,
    *_NODE_INTEGERS,
    "leaf_value",
    "leaf_weight",
    "leaf_count",
    "is_linear",
    "shrinkage",
)
# A threshold and a decision type that handles NaN apart, to the right or to the left.
_PARTS_NAN = {("inf", "8"), ("inf", "10")}
_TEXT = re.compile(r"[\n -~]*")
_INTEGER = re.compile(r"-?[0-9]{1,10}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")


def checked_trees(text: str, *, n_features: int, file: str) -> str:
    """Return a model's text up to the end of its trees, after every byte of that was checked.

    Importances and parameters, which follow, do not enter predictions, and LightGBM's reading of
    them is no safer: they are left out.

    Args:
        text: LightGBM's model file.
        n_features: Of the bundle's feature list.
        file: Named in errors.

    Raises:
        BundleError: Saying which tree is wrong, and how.
    """
    head, _, rest = text.partition("\nTree=0\n")
    if not text.startswith("tree\n") or not rest:
        raise _wrong(file, "no LightGBM header followed by trees")
    trees_text, marker, _ = text.partition("end of trees")
    if not marker:
        raise _wrong(file, "no 'end of trees'")
    if not _TEXT.fullmatch(trees_text):
        raise _wrong(file, "control or other than ASCII characters")
    header = _fields(head.removeprefix("tree\n"), _HEADER, f"{file}, header")
    _same(file, "num_class", header["num_class"], "1")
    _same(file, "num_tree_per_iteration", header["num_tree_per_iteration"], "1")
    _same(file, "label_index", header["label_index"], "0")
    _same(file, "max_feature_idx", header["max_feature_idx"], str(n_features - 1))
    _same(file, "objective", header["objective"], "binary sigmoid:1")
    for key in ("feature_names", "feature_infos"):
        _same(file, f"number of {key}", str(len(header[key].split())), str(n_features))
    body = trees_text[len(head) + 1 :]
    sizes = _integers(file, header["tree_sizes"])
    if sum(sizes) != len(body) or min(sizes, default=0) <= 0:
        raise _wrong(file, f"{len(body)} bytes of trees where {sum(sizes)} are announced")
    start = 0
    for number, size in enumerate(sizes):
        block = body[start : start + size]
        start += size
        if not block.startswith(f"Tree={number}\n"):
            raise _wrong(file, f"tree {number} not where it is announced")
        place = f"{file}, tree {number}"
        _check_tree(_fields(block, _TREE, place), n_features, place)
    return f"{trees_text}{marker}\n"


def _fields(block: str, keys: Sequence[str], file: str) -> dict[str, str]:
    """Return the `key=value` lines: exactly the known keys, once each, no blank line between."""
    pairs = [line.partition("=") for line in block.rstrip("\n").split("\n")]
    found = [key if mark else "" for key, mark, _ in pairs]
    if sorted(found) != sorted(keys):
        odd = [key for key in keys if found.count(key) != 1]
        raise _wrong(file, f"lines other than the known ones, once each ({', '.join(odd[:3])})")
    return {key: value for key, _, value in pairs}


def _wrong(file: str, what: str) -> BundleError:
    return BundleError(
        f"{file} has {what}",
        expected="a whole LightGBM text model",
        next_step="use another bundle, or train again",
    )


def _same(file: str, what: str, found: str, expected: str) -> None:
    if found != expected:
        raise _wrong(file, f"{what} {found[:40]} where {expected} is expected")


def _integers(file: str, text: str) -> list[int]:
    parts = text.split()
    if not all(map(_INTEGER.fullmatch, parts)):
        raise _wrong(file, "text where whole numbers are expected")
    numbers = [int(part) for part in parts]
    if not all(-(2**31) <= number < 2**31 for number in numbers):
        raise _wrong(file, "whole numbers of more than 32 bits")
    return numbers


def _finite(file: str, text: str, count: int, what: str) -> None:
    parts = text.split()
    if not all(map(_NUMBER.fullmatch, parts)):
        raise _wrong(file, f"text where {what} are expected")
    if len(parts) != count or not all(math.isfinite(float(part)) for part in parts):
        raise _wrong(file, f"{len(parts)} {what}, or infinite ones, where {count} are expected")


def _finite_thresholds(tree: Mapping[str, str], n_nodes: int) -> str:
    """Return the thresholds, 0 for the infinite ones of splits that only part NaN from numbers.

    LightGBM writes `inf` there; any other infinite threshold stays, and is refused.
    """
    thresholds, kinds = tree["threshold"].split(), tree["decision_type"].split()
    if len(thresholds) != n_nodes or len(kinds) != n_nodes:
        return tree["threshold"]
    parted = zip(thresholds, kinds, strict=True)
    return " ".join("0" if (t, kind) in _PARTS_NAN else t for t, kind in parted)


def _check_tree(tree: Mapping[str, str], n_features: int, file: str) -> None:
    _same(file, "num_cat", tree["num_cat"], "0")
    _same(file, "is_linear", tree["is_linear"], "0")
    sizes = _integers(file, tree["num_leaves"])
    if len(sizes) != 1 or sizes[0] < 1:
        raise _wrong(file, "no leaves")
    n_leaves, n_nodes = sizes[0], sizes[0] - 1
    _finite(file, tree["leaf_value"], n_leaves, "leaf_value")
    _finite(file, tree["shrinkage"], 1, "shrinkage")
    # A tree that is one leaf has no weight for it.
    _finite(file, tree["leaf_weight"], n_leaves if n_nodes else 0, "leaf_weight")
    numbers = {**tree, "threshold": _finite_thresholds(tree, n_nodes)}
    for key in _NODE_COLUMNS:
        _finite(file, numbers[key], n_nodes, key)
    columns = {key: _integers(file, tree[key]) for key in _NODE_INTEGERS}
    if any(len(column) != n_nodes for column in columns.values()):
        raise _wrong(file, f"columns of a length other than {n_nodes}")
    if not all(0 <= feature < n_features for feature in columns["split_feature"]):
        raise _wrong(file, "a split on a feature that does not exist")
    if not all(kind in (0, 2, 4, 6, 8, 10) for kind in columns["decision_type"]):
        raise _wrong(file, "a decision type that is not used here")
    leaf_counts = _integers(file, tree["leaf_count"])
    if len(leaf_counts) != n_leaves or min(leaf_counts) < 1:
        raise _wrong(file, f"leaf_count without one positive number for each of {n_leaves} leaves")
    if n_nodes:
        _walk(columns["left_child"], columns["right_child"], n_leaves, file)
        _add_up(columns, leaf_counts, file)


def _walk(left: list[int], right: list[int], n_leaves: int, file: str) -> None:
    """Reach every node and leaf from the root exactly once: no cycle, nothing left over."""
    seen_nodes, seen_leaves, waiting = set[int](), set[int](), [0]
    while waiting:
        node = waiting.pop()
        if node in seen_nodes:
            raise _wrong(file, f"node {node} reached twice")
        seen_nodes.add(node)
        for child in (left[node], right[node]):
            if child >= 0:
                if child >= len(left):
                    raise _wrong(file, f"a child {child} that does not exist")
                waiting.append(child)
            elif ~child >= n_leaves or ~child in seen_leaves:
                raise _wrong(file, f"leaf {~child} reached twice, or not there")
            else:
                seen_leaves.add(~child)
    if len(seen_leaves) != n_leaves or len(seen_nodes) != len(left):
        raise _wrong(file, "nodes or leaves that are never reached")


def _add_up(columns: Mapping[str, list[int]], leaf_counts: list[int], file: str) -> None:
    """Each node counts what its two children count."""
    counts = columns["internal_count"]
    for node, count in enumerate(counts):
        children = (columns["left_child"][node], columns["right_child"][node])
        if count != sum(counts[c] if c >= 0 else leaf_counts[~c] for c in children):
            raise _wrong(file, f"a count at node {node} that is not the sum of its children's")
