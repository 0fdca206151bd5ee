"""Structural check of a LightGBM text model, before LightGBM sees a byte of it.

A damaged text aborts or hangs the process instead of raising (upstream issue 7357), so every
tree is walked here first: sizes, ranges, finite numbers, each node reached exactly once.
"""

import math
from collections.abc import Mapping

from intentcast.errors import BundleError

_HEADER = ("num_class", "max_feature_idx", "objective", "feature_names", "tree_sizes")


def check_trees(text: str, *, n_features: int, file: str) -> int:
    """Check a model's text and return how many trees it has.

    Args:
        text: LightGBM's model file.
        n_features: Of the bundle's feature list.
        file: Named in errors.

    Raises:
        BundleError: Saying which tree is wrong, and how.
    """
    head, _, rest = text.partition("\nTree=0\n")
    header = _fields(head)
    if not text.startswith("tree\n") or not rest or any(key not in header for key in _HEADER):
        raise _wrong(file, "no LightGBM header followed by trees")
    _same(file, "num_class", header["num_class"], "1")
    _same(file, "max_feature_idx", header["max_feature_idx"], str(n_features - 1))
    _same(
        file, "number of feature names", str(len(header["feature_names"].split())), str(n_features)
    )
    if not header["objective"].startswith("binary"):
        raise _wrong(file, "an objective other than binary")
    trees_text, marker, _ = text.partition("end of trees")
    if not marker:
        raise _wrong(file, "no 'end of trees'")
    body = trees_text[len(head) + 1 :]
    sizes = _integers(file, header["tree_sizes"])
    if sum(sizes) != len(body.encode()):
        raise _wrong(file, f"{len(body.encode())} bytes of trees where {sum(sizes)} are announced")
    raw, start = body.encode(), 0
    for number, size in enumerate(sizes):
        block = raw[start : start + size].decode()
        start += size
        if not block.startswith(f"Tree={number}\n"):
            raise _wrong(file, f"tree {number} not where it is announced")
        _check_tree(_fields(block), n_features, f"{file}, tree {number}")
    return len(sizes)


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in block.splitlines())
    return {key: value for key, mark, value in pairs if mark}


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
    try:
        return [int(part) for part in text.split()]
    except ValueError:
        raise _wrong(file, "text where whole numbers are expected") from None


def _finite(file: str, text: str, count: int, what: str) -> None:
    try:
        numbers = [float(part) for part in text.split()]
    except ValueError:
        raise _wrong(file, f"text where {what} are expected") from None
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise _wrong(file, f"{len(numbers)} {what}, or infinite ones, where {count} are expected")


def _check_tree(tree: Mapping[str, str], n_features: int, file: str) -> None:
    [n_leaves] = _integers(file, tree.get("num_leaves", "")) or [0]
    if n_leaves < 1 or tree.get("num_cat") != "0" or tree.get("is_linear", "0") != "0":
        raise _wrong(file, "no leaves, or splits of a kind that is not used here")
    _finite(file, tree.get("leaf_value", ""), n_leaves, "leaf values")
    _finite(file, tree.get("shrinkage", ""), 1, "shrinkages")
    if n_leaves == 1:
        return
    n_nodes = n_leaves - 1
    columns = {
        key: _integers(file, tree.get(key, ""))
        for key in ("split_feature", "decision_type", "left_child", "right_child")
    }
    if any(len(column) != n_nodes for column in columns.values()):
        raise _wrong(file, f"columns of a length other than {n_nodes}")
    _finite(file, tree.get("threshold", ""), n_nodes, "thresholds")
    for key, count in (
        ("split_gain", n_nodes),
        ("internal_value", n_nodes),
        ("internal_weight", n_nodes),
        ("internal_count", n_nodes),
        ("leaf_weight", n_leaves),
        ("leaf_count", n_leaves),
    ):
        _finite(file, tree.get(key, ""), count, key)
    if not all(0 <= feature < n_features for feature in columns["split_feature"]):
        raise _wrong(file, "a split on a feature that does not exist")
    if not all(kind in (0, 2, 4, 6, 8, 10) for kind in columns["decision_type"]):
        raise _wrong(file, "a decision type that is not used here")
    _walk(columns["left_child"], columns["right_child"], n_leaves, file)


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
