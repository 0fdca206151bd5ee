import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intentcast.config import BoosterSettings
from intentcast.errors import BundleError
from intentcast.propensity import BoosterModel
from intentcast.propensity.booster import fit_booster
from intentcast.trees import checked_trees

N_FEATURES = 4
NAMES = [f"f{i}" for i in range(N_FEATURES)]
END = "end of trees"


def fit(n=300, *, settings=None):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, N_FEATURES))
    features[::7, 1] = np.nan
    converted = (features[:, 0] + rng.normal(size=n) > 0).astype(float)
    settings = settings or BoosterSettings(rounds=5, num_leaves=5, min_data_in_leaf=10)
    return fit_booster(features, converted, names=NAMES, settings=settings, seed=1)


def of_unknowns():
    """A model whose first split parts unknown from known: LightGBM writes its threshold as inf."""
    features = np.random.default_rng(0).normal(size=(300, N_FEATURES))
    features[::3, 1] = np.nan
    converted = np.isnan(features[:, 1]).astype(float)
    settings = BoosterSettings(rounds=2, num_leaves=3, min_data_in_leaf=10, feature_fraction=1.0)
    return fit_booster(features, converted, names=NAMES, settings=settings, seed=1)


OF_UNKNOWNS = of_unknowns()
TEXT = fit().text
ONE_LEAF = fit(settings=BoosterSettings(rounds=2, min_data_in_leaf=300)).text
ROWS = np.vstack([np.random.default_rng(1).normal(size=(20, N_FEATURES)), [[np.nan] * N_FEATURES]])


def check(text, *, n_features=N_FEATURES):
    return checked_trees(text, n_features=n_features, file="model.txt")


def announced(text):
    """The text with `tree_sizes` as they are, as someone would write them who changed a tree."""
    head, _, rest = text.partition("\nTree=0\n")
    trees, mark, tail = ("Tree=0\n" + rest).partition(END)
    blocks = [block for block in re.split(r"(?m)^(?=Tree=\d+$)", trees) if block]
    sizes = " ".join(str(len(block.encode())) for block in blocks)
    head = re.sub(r"(?m)^tree_sizes=.*$", f"tree_sizes={sizes}", head)
    return f"{head}\n{trees}{mark}{tail}"


def with_line(key, change, *, text=TEXT):
    """The text with one line of its first tree changed, and its size announced."""
    head, mark, rest = text.partition("\nTree=0\n")
    match = re.search(rf"(?m)^{key}=(.*)$", rest)
    new = change(match[1].split())
    rest = rest[: match.start()] + f"{key}={' '.join(map(str, new))}" + rest[match.end() :]
    return announced(head + mark + rest)


def with_first(key, value):
    return with_line(key, lambda values: [value, *values[1:]])


def with_header(key, value):
    return re.sub(rf"(?m)^{key}=.*$", f"{key}={value}", TEXT, count=1)


@pytest.mark.parametrize("text", [TEXT, ONE_LEAF], ids=["trees", "one leaf"])
def test_what_lightgbm_writes_passes_and_predicts_the_same_to_the_bit(text):
    checked = check(text)
    assert text.startswith(checked.removesuffix("\n"))
    assert checked.endswith(f"{END}\n")
    before, after = BoosterModel(text), BoosterModel(checked)
    assert (before.margins(ROWS) == after.margins(ROWS)).all()
    assert (before.contributions(ROWS) == after.contributions(ROWS)).all()


def test_a_split_of_the_known_from_the_unknown_passes_and_predicts_the_same():
    assert "threshold=inf" in OF_UNKNOWNS.text
    same = BoosterModel(check(OF_UNKNOWNS.text))
    assert same.margins(ROWS).tobytes() == OF_UNKNOWNS.margins(ROWS).tobytes()


@pytest.mark.parametrize("odd", ["-inf", "nan", "1e999"])
def test_an_infinite_threshold_elsewhere_is_refused(odd):
    with pytest.raises(BundleError, match="threshold"):
        check(with_line("threshold", lambda v: [odd, *v[1:]], text=OF_UNKNOWNS.text))


def test_an_infinite_threshold_of_a_split_of_numbers_is_refused():
    with pytest.raises(BundleError, match="threshold"):
        check(with_line("decision_type", lambda v: [2, *v[1:]], text=OF_UNKNOWNS.text))


def test_what_follows_the_trees_never_reaches_lightgbm():
    """LightGBM reads its parameters as unguardedly as its trees: a stray line there is fatal."""
    assert check(TEXT.replace("[boosting: gbdt]", "garbage")) == check(TEXT)


def test_announcing_sizes_again_changes_nothing():
    assert announced(TEXT) == TEXT


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "no LightGBM header followed by trees"),
        ("tree\nversion=v4\n", "no LightGBM header followed by trees"),
        ("\x80\x04" + TEXT, "no LightGBM header followed by trees"),
        (TEXT.replace(END, "end of tree"), "no 'end of trees'"),
        (TEXT[: len(TEXT) // 4], "no 'end of trees'"),
        (TEXT.replace("num_leaves=", "num_leaves=\x00", 1), "control or other than ASCII"),
        (TEXT.replace("f0", "é", 1), "control or other than ASCII"),
        (with_header("num_class", 3), "num_class 3 where 1 is expected"),
        (with_header("num_tree_per_iteration", 5), "num_tree_per_iteration 5 where 1 is"),
        (with_header("max_feature_idx", 9), "max_feature_idx 9 where 3 is expected"),
        (with_header("objective", "regression"), "objective regression where binary"),
        (with_header("feature_names", "f0 f1"), "number of feature_names 2 where 4 is"),
        (with_header("feature_infos", "none"), "number of feature_infos 1 where 4 is"),
        (with_header("tree_sizes", "1 2 3"), "bytes of trees where 6 are announced"),
        (with_header("tree_sizes", "x"), "text where whole numbers are expected"),
        (TEXT.replace("label_index=0\n", ""), r"header has lines other than .*label_index"),
        (TEXT.replace("label_index=0\n", "label_index=0\nTree=7\n"), "header has lines other than"),
        (TEXT.replace("num_class=1\n", "num_class=1\nnum_class=2\n"), r"once each \(num_class\)"),
    ],
)
def test_a_wrong_header_or_end_is_refused(text, found):
    with pytest.raises(BundleError, match=found):
        check(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (with_first("left_child", 0), "node 0 reached twice"),
        (with_line("left_child", lambda v: [*v[:-1], v[-2]]), "reached twice"),
        (with_first("left_child", 99), "a child 99 that does not exist"),
        (with_first("left_child", -99), "leaf 98 reached twice, or not there"),
        (with_line("right_child", lambda v: [*v[:-1], v[-2]]), "reached twice"),
        (with_first("split_feature", N_FEATURES), "a feature that does not exist"),
        (with_first("split_feature", -1), "a feature that does not exist"),
        (with_first("decision_type", 1), "a decision type that is not used here"),
        (with_first("leaf_value", "nan"), "text where leaf_value are expected"),
        (with_first("leaf_value", "inf"), "text where leaf_value are expected"),
        (with_first("leaf_value", "1e999"), "or infinite ones"),
        (with_first("threshold", "-inf"), "text where threshold are expected"),
        (with_first("threshold", "0x10"), "text where threshold are expected"),
        (with_line("leaf_value", lambda v: v[1:]), "4 leaf_value, or infinite ones, where 5"),
        (with_line("threshold", lambda v: [*v, "1"]), "5 threshold, or infinite ones, where 4"),
        (with_line("left_child", lambda v: v[1:]), "columns of a length other than 4"),
        (with_line("num_leaves", lambda _: [6]), "leaf_value, or infinite ones, where 6"),
        (with_line("num_leaves", lambda _: [0]), "no leaves"),
        (with_line("num_leaves", lambda _: ["5", "5"]), "no leaves"),
        (with_line("num_leaves", lambda _: [10**9]), "where 1000000000 are expected"),
        (with_line("num_leaves", lambda _: [2**31]), "more than 32 bits"),
        (with_line("num_cat", lambda _: [1]), "num_cat 1 where 0 is expected"),
        (with_line("is_linear", lambda _: [1]), "is_linear 1 where 0 is expected"),
        (with_line("shrinkage", lambda _: []), "0 shrinkage, or infinite ones, where 1"),
        (with_first("leaf_count", 0), "leaf_count without one positive number"),
        (with_first("leaf_count", 7), "that is not the sum of its children's"),
        (with_first("internal_count", 7), "a count at node 0 that is not the sum"),
    ],
)
def test_a_malformed_tree_is_refused_by_name(text, found):
    with pytest.raises(BundleError, match=rf"model\.txt, tree 0 .*{found}"):
        check(text)


@pytest.mark.parametrize("line", ["\n", "garbage\n", "num_cat=0\n", "num_cat=1\n", "=\n"])
def test_a_line_too_many_in_a_tree_is_refused(line):
    """LightGBM aborts the process at a line without `=`, and stops reading at a blank one."""
    text = announced(TEXT.replace("num_cat=0\n", f"num_cat=0\n{line}", 1))
    with pytest.raises(BundleError, match="tree 0 has lines other than the known ones"):
        check(text)


def test_a_tree_out_of_its_place_is_refused():
    text = TEXT.replace("Tree=1\n", "Tree=2\n", 1)
    with pytest.raises(BundleError, match="tree 1 not where it is announced"):
        check(text)


def test_another_number_of_features_is_refused():
    with pytest.raises(BundleError, match="max_feature_idx 3 where 5 is expected"):
        check(TEXT, n_features=6)


TOKENS = ("0", "-1", "1", "2", "99999", "nan", "", "x", "1 2", "2147483647", "-2147483648", "1_0")


@given(st.data())
@settings(max_examples=150)
def test_whatever_passes_can_be_used(data):
    """A token, a line more or a line less: refused by structure, or a model that predicts."""
    trees, mark, tail = TEXT.partition(END)
    lines = trees.splitlines(keepends=True)
    at = data.draw(st.integers(1, len(lines) - 1))
    kind = data.draw(st.sampled_from(["token", "drop", "add"]))
    if kind == "token":
        key, equals, values = lines[at].rstrip("\n").partition("=")
        parts = values.split(" ")
        parts[data.draw(st.integers(0, len(parts) - 1))] = data.draw(st.sampled_from(TOKENS))
        lines[at] = f"{key}{equals}{' '.join(parts)}\n"
    elif kind == "drop":
        del lines[at]
    else:
        lines.insert(at, data.draw(st.sampled_from(["\n", "garbage\n", "Tree=1\n", lines[at]])))
    try:
        checked = check(announced("".join(lines) + mark + tail))
    except BundleError:
        return
    model = BoosterModel(checked)
    assert np.isfinite(model.margins(ROWS)).all()
    assert model.contributions(ROWS).sum(axis=1) == pytest.approx(model.margins(ROWS))
