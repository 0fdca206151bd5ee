import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest

from intentcast.bundle import BundleContents, read_bundle, write_bundle
from intentcast.cli.bundles import bundle_in_use
from intentcast.config import BoosterSettings
from intentcast.errors import BundleError, InputError, RefusedError
from intentcast.propensity import BoosterModel
from intentcast.propensity.booster import fit_booster
from intentcast.propensity.horizons import predict_horizons
from intentcast.scoring import load_bundle, predict, score
from intentcast.trees import checked_trees
from tests.fixtures_world import (
    AS_OF,
    CREATED,
    HORIZONS,
    bundle,
    bundle_folder,
    trained,
    trained_as,
    world,
    world_snapshots,
)

STEPS = ("logistic", "lightgbm", "hazard", "blend")
FILES = {
    step: sorted(p.name for p in bundle_folder(step).iterdir() if p.name != "manifest.json")
    for step in STEPS
}
EVERY_FILE = [(step, name) for step in STEPS for name in FILES[step]]


@pytest.fixture
def copy(tmp_path):
    """Return a function: a copy of a step's bundle, to be damaged."""

    def make(step="lightgbm"):
        return shutil.copytree(bundle_folder(step), tmp_path / bundle_folder(step).name)

    return make


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def write_manifest(folder, manifest):
    """Write a manifest with its right checksum."""
    own = {key: value for key, value in manifest.items() if key != "sha256"}
    own["sha256"] = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(own))


def reseal(folder, name, data):
    """Replace a file and write its right checksum, as whoever means harm would."""
    (folder / name).write_bytes(data)
    manifest = manifest_of(folder)
    manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    write_manifest(folder, manifest)


def change_json(folder, name, change):
    """Replace a JSON file by what `change` makes of its value, with its right checksum."""
    value = json.loads((folder / name).read_text())
    replaced = change(value)
    reseal(folder, name, json.dumps(value if replaced is None else replaced).encode())


# What is written.


@pytest.mark.parametrize("step", STEPS)
def test_a_bundle_gives_the_scores_of_the_model_it_was_made_of_to_the_bit(step):
    class Unpackaged:
        featurizer = trained().featurizer
        models = trained_as(step).champion
        config = world().config

    _, before = predict(Unpackaged, world(), world_snapshots())
    features, after = predict(bundle(step), world(), world_snapshots())
    assert len(features) > 100
    for part in ("margins", "probabilities", "low", "high"):
        assert (getattr(before, part) == getattr(after, part)).all()
    assert bundle(step).models[90].step == step


def test_trees_that_split_what_is_known_from_what_is_not_can_be_read_again():
    """Where only that matters, LightGBM's threshold is infinite: unknown goes the other way."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 1))
    is_unknown = rng.random(600) < 0.5
    features[is_unknown] = np.nan
    converted = (rng.random(600) < np.where(is_unknown, 0.8, 0.2)).astype(float)
    settings = BoosterSettings(rounds=3, feature_fraction=1)
    model = fit_booster(features, converted, names=["a.b.c.d"], settings=settings, seed=7)
    assert "threshold=inf" in model.text
    read = BoosterModel(checked_trees(model.text, n_features=1, file="model.txt"))
    assert (read.margins(features) == model.margins(features)).all()


@pytest.mark.parametrize("step", STEPS)
def test_the_manifest_says_what_the_bundle_is(step):
    manifest = manifest_of(bundle_folder(step))
    loaded = bundle(step)
    assert (manifest["name"], manifest["version"]) == ("small", "2026-01-02.1")
    assert manifest["created"] == CREATED.isoformat()
    assert manifest["data_cutoff"] == world().data_cutoff.isoformat()
    assert manifest["horizons_days"] == list(HORIZONS)
    assert manifest["feature_hash"] == loaded.featurizer.spec.hash
    assert set(manifest["libraries"]) == {"lightgbm", "numpy", "polars"}
    raw = (bundle_folder(step) / "manifest.json").read_bytes()
    assert loaded.sha256 == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize("step", STEPS)
def test_every_file_is_listed_with_its_size_and_checksum(step):
    listed = manifest_of(bundle_folder(step))["files"]
    assert sorted(listed) == FILES[step]
    for name, entry in listed.items():
        data = (bundle_folder(step) / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def test_the_files_are_those_of_the_format():
    common = {
        "accounts.json", "calibration.json", "dataset.json", "features.json", "golden.json",
        "handoff.json", "metrics.json", "model_card.md", "reference.json", "scorecard.toml",
        "settings.json", "themes.json", "themes.npz", "tiers.json",
    }  # fmt: skip
    assert set(FILES["logistic"]) == common | {"logistic.json"}
    assert set(FILES["lightgbm"]) == common | {"model.txt", "model_30d.txt"}
    assert set(FILES["hazard"]) == common | {"model.txt", "hazard.json"}
    assert set(FILES["blend"]) == common | {"model.txt", "hazard.json", "logistic.json"}


@pytest.mark.parametrize(("step", "name"), EVERY_FILE)
def test_no_file_is_a_pickle(step, name):
    data = (bundle_folder(step) / name).read_bytes()
    assert not data.startswith(b"\x80")
    if name.endswith(".npz"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                assert archive.read(member).startswith(b"\x93NUMPY")
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            assert {name: stored[name].dtype for name in stored.files} == {
                "idf": np.float64,
                "centroids": np.float64,
            }
    else:
        assert data.decode()


def test_versions_of_one_day_are_numbered(tmp_path):
    contents = BundleContents("small", {"metrics.json": b"{}"}, {})
    first = write_bundle(contents, tmp_path, created=CREATED)
    second = write_bundle(contents, tmp_path, created=CREATED)
    assert [first.name, second.name] == ["small-2026-01-02.1", "small-2026-01-02.2"]
    assert manifest_of(second)["version"] == "2026-01-02.2"


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    contents = BundleContents("small", {"metrics.json": b"{}"}, {})
    with pytest.raises(BundleError, match="cannot write a bundle into"):
        write_bundle(contents, tmp_path / "file", created=CREATED)


def test_where_there_is_no_room_nothing_is_left(tmp_path):
    """A limit on the size of files stops the third file half-way, as a full disk would."""
    code = (
        "import resource, sys; from datetime import datetime; from pathlib import Path\n"
        "from intentcast.bundle import BundleContents, write_bundle\n"
        "from intentcast.errors import BundleError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "files = {'a.json': b'1', 'b.json': b'2', 'c.json': bytes(5000)}\n"
        "try:\n    write_bundle(BundleContents('small', files, {}), Path(sys.argv[1]),"
        " created=datetime(2026, 1, 2))\n"
        "except BundleError as error:\n    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "cannot write a bundle into" in run.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_killed_while_writing_leaves_no_bundle_to_be_seen(tmp_path, monkeypatch):
    code = (
        "import os, sys; from datetime import datetime; from pathlib import Path\n"
        "import intentcast.bundle as bundle\n"
        "sync = bundle._sync_folder\n"
        "bundle._sync_folder = lambda folder: os.kill(os.getpid(), 9)\n"
        "bundle.write_bundle(bundle.BundleContents('small', {'a.json': b'1'}, {}),"
        " Path(sys.argv[1]), created=datetime(2026, 1, 2))\n"
    )
    out = tmp_path / "models" / "bundles"
    run = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True, check=False)
    assert run.returncode == -9
    [left] = out.iterdir()
    assert left.name.startswith(".writing-")
    assert (left / "manifest.json").is_file()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no bundle in models/bundles"):
        bundle_in_use(None)


def test_the_newest_bundle_is_the_last_created(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    contents = BundleContents("small", {"metrics.json": b"{}"}, {})
    for day in (3, 5, 4):
        write_bundle(
            contents, tmp_path / "models" / "bundles", created=datetime(2026, 1, day, tzinfo=UTC)
        )
    assert bundle_in_use(None).name == "small-2026-01-05.1"
    assert bundle_in_use(tmp_path) == tmp_path


# Damage: refused by checksum.


@pytest.mark.parametrize(("step", "name"), EVERY_FILE)
def test_one_flipped_byte_is_refused_by_the_files_name(copy, step, name):
    folder = copy(step)
    rng = np.random.default_rng(len(name))
    data = bytearray((folder / name).read_bytes())
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    (folder / name).write_bytes(data)
    with pytest.raises(BundleError, match=rf"{re.escape(name)} of .*do not match its checksum"):
        read_bundle(folder)


def test_one_flipped_byte_of_the_manifest_is_refused(copy):
    folder = copy("logistic")
    raw = (folder / "manifest.json").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(raw)
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        (folder / "manifest.json").write_bytes(data)
        with pytest.raises(BundleError, match=r"manifest\.json|bundle format"):
            read_bundle(folder)


def test_a_manifest_whose_contents_were_edited_is_refused(copy):
    folder = copy()
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"version": "2026', '"version": "2027'))
    with pytest.raises(BundleError, match=r"manifest\.json of .* do not match its checksum"):
        read_bundle(folder)


@pytest.mark.parametrize(("step", "name"), EVERY_FILE)
def test_a_missing_file_is_refused_by_name(copy, step, name):
    folder = copy(step)
    (folder / name).unlink()
    with pytest.raises(BundleError, match=rf"{re.escape(name)} of .*: not there"):
        read_bundle(folder)


@pytest.mark.parametrize("name", ["model.txt", "themes.npz", "golden.json"])
def test_a_truncated_file_is_refused_by_name(copy, name):
    folder = copy()
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(BundleError, match=re.escape(name)):
        read_bundle(folder)


def test_a_symlink_is_refused_even_to_the_right_contents(copy, tmp_path):
    folder = copy()
    (folder / "tiers.json").rename(tmp_path / "tiers.json")
    (folder / "tiers.json").symlink_to(tmp_path / "tiers.json")
    with pytest.raises(BundleError, match=r"tiers\.json of .*a name or link"):
        read_bundle(folder)


@pytest.mark.parametrize(
    "name", ["../tiers.json", "/etc/hostname", "..", "sub/tiers.json", "model.pkl", "TIERS.JSON"]
)
def test_a_name_that_leads_elsewhere_is_refused(copy, name):
    folder = copy()
    data = (folder / "tiers.json").read_bytes()
    (folder.parent / "tiers.json").write_bytes(data)
    manifest = manifest_of(folder)
    manifest["files"][name] = manifest["files"]["tiers.json"]
    write_manifest(folder, manifest)
    with pytest.raises(BundleError, match="a name or link that a bundle cannot have"):
        read_bundle(folder)


def test_a_file_that_the_manifest_does_not_list_is_never_opened(copy, tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    pickle = __import__("pickle")
    folder = copy()
    (folder / "model.pkl").write_bytes(pickle.dumps(Bomb()))
    assert load_bundle(folder).version == bundle("lightgbm").version
    assert not (tmp_path / "exploded").exists()


def test_an_array_that_is_a_pickle_is_refused_unopened(copy, tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    folder, buffer = copy(), io.BytesIO()
    np.savez(buffer, idf=np.array([Bomb()], dtype=object), centroids=np.zeros((1, 1)))
    reseal(folder, "themes.npz", buffer.getvalue())
    with pytest.raises(BundleError, match="Object arrays cannot be loaded"):
        read_bundle(folder)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"files": []}',
        '{"files": {"a.json": 3}}',
        "\udc80",
        "[" * 9999,
    ],
)
def test_a_manifest_that_is_none_is_refused(copy, text):
    folder = copy()
    (folder / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BundleError, match="no readable manifest"):
        read_bundle(folder)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path):
    with pytest.raises(BundleError, match="no readable manifest"):
        read_bundle(tmp_path)
    with pytest.raises(BundleError, match="no readable manifest"):
        read_bundle(tmp_path / "absent")


def test_another_format_is_refused(copy):
    folder = copy()
    write_manifest(folder, manifest_of(folder) | {"format": 2})
    with pytest.raises(BundleError, match="bundle format 2"):
        read_bundle(folder)


# Right checksums, wrong contents: refused by structure.


def swap_children(text):
    """Make the root its own left child."""
    return re.sub(r"(?m)^left_child=\S+", "left_child=0", text, count=1)


def fit_sizes(text):
    head, _, rest = text.partition("\nTree=0\n")
    trees, mark, tail = ("Tree=0\n" + rest).partition("end of trees")
    blocks = [b for b in re.split(r"(?m)^(?=Tree=\d+$)", trees) if b]
    sizes = " ".join(str(len(b)) for b in blocks)
    return f"{re.sub(r'(?m)^tree_sizes=.*$', f'tree_sizes={sizes}', head)}\n{trees}{mark}{tail}"


@pytest.mark.parametrize("name", ["model.txt", "model_30d.txt"])
@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda t: fit_sizes(swap_children(t)), "reached twice"),
        (
            lambda t: fit_sizes(
                re.sub(r"(?m)^split_feature=\d+", "split_feature=9999", t, count=1)
            ),
            "a split on a feature that does not exist",
        ),
        (
            lambda t: fit_sizes(re.sub(r"(?m)^leaf_value=\S+", "leaf_value=nan", t, count=1)),
            "text where leaf_value are expected",
        ),
        (lambda t: t.replace("end of trees", ""), "no 'end of trees'"),
        (lambda t: re.sub(r"(?m)^tree_sizes=\d+", "tree_sizes=7", t), "are announced"),
        (
            lambda t: t.replace("num_tree_per_iteration=1", "num_tree_per_iteration=99"),
            "num_tree_per_iteration 99 where 1 is expected",
        ),
    ],
    ids=["cycle", "feature", "nan leaf", "no end", "sizes", "trees per iteration"],
)
def test_malformed_trees_are_refused_before_lightgbm_sees_them(copy, name, damage, found):
    folder = copy()
    text = (folder / name).read_text()
    assert damage(text) != text
    reseal(folder, name, damage(text).encode())
    with pytest.raises(BundleError, match=rf"{re.escape(name)}.*{found}"):
        read_bundle(folder)


def test_other_features_are_refused_with_the_difference(copy):
    folder = copy()
    change_json(folder, "features.json", lambda raw: raw["names"].append("theme.new.one.7d"))
    with pytest.raises(BundleError, match=r"features where this version .*theme\.new\.one\.7d"):
        read_bundle(folder)


def test_features_in_another_order_are_refused(copy):
    folder = copy()
    change_json(folder, "features.json", lambda raw: raw["names"].reverse())
    with pytest.raises(BundleError, match="differing: their order"):
        read_bundle(folder)


def test_another_feature_hash_is_refused(copy):
    folder = copy()
    write_manifest(folder, manifest_of(folder) | {"feature_hash": "0" * 16})
    with pytest.raises(BundleError, match="the same features in the same order"):
        read_bundle(folder)


def test_another_major_version_of_lightgbm_is_refused(copy):
    folder = copy()
    manifest = manifest_of(folder)
    manifest["libraries"]["lightgbm"] = "3.3.5"
    write_manifest(folder, manifest)
    with pytest.raises(BundleError, match=r"was made with LightGBM 3\.3\.5"):
        read_bundle(folder)


def test_another_minor_version_of_lightgbm_will_do(copy):
    folder = copy()
    manifest = manifest_of(folder)
    major = manifest["libraries"]["lightgbm"].split(".")[0]
    manifest["libraries"]["lightgbm"] = f"{major}.0.0"
    write_manifest(folder, manifest)
    assert load_bundle(folder).version == "2026-01-02.1"


@pytest.mark.parametrize("step", STEPS)
def test_a_golden_row_off_by_more_than_a_billionth_is_refused(copy, step):
    folder = copy(step)

    def shift(rows):
        rows[2]["probabilities"][0] += 2e-9

    change_json(folder, "golden.json", shift)
    with pytest.raises(BundleError, match="a golden row's probability off by 2e-09"):
        load_bundle(folder)


def test_a_golden_row_off_by_less_passes(copy):
    folder = copy()

    def shift(rows):
        rows[2]["probabilities"][0] += 5e-10

    change_json(folder, "golden.json", shift)
    assert load_bundle(folder).name == "small"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda _: [], "has no golden rows"),
        (lambda _: [{"probabilities": [0.1, 0.2]}], r"cannot answer a golden row \(KeyError"),
        (lambda rows: [rows[1] | {"probabilities": [0.1]}], "off by inf"),
        (lambda rows: [rows[1] | {"probabilities": ["x", "y"]}], "cannot answer a golden row"),
        (lambda _: {"a": 1}, "cannot answer a golden row"),
        (lambda rows: [rows[1] | {"request": {"lead": {}, "as_of": "x"}}], "cannot answer"),
    ],
)
def test_golden_rows_that_prove_nothing_are_refused(copy, change, found):
    folder = copy("logistic")
    change_json(folder, "golden.json", change)
    with pytest.raises(BundleError, match=found):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("logistic.json", lambda raw: raw["90"]["weights"].pop(), "logistic.json has an array"),
        ("logistic.json", lambda raw: raw["30"]["mean"].append(0.0), "logistic.json has an array"),
        ("logistic.json", lambda raw: raw.pop("30"), "KeyError: '30'"),
        ("calibration.json", lambda raw: raw["90"]["covariance"].pop(), "calibration.json has"),
        ("calibration.json", lambda raw: raw["90"]["knots"].append(1), "calibration.json has"),
        ("calibration.json", lambda raw: raw["90"].update(extra=1), "TypeError"),
        ("themes.json", lambda raw: raw["vocabulary"].pop(), "themes.npz has an array"),
        ("themes.json", lambda raw: raw["names"].append("new"), "themes.npz has an array"),
        ("themes.json", lambda _: "none", "part of another shape"),
        ("tiers.json", lambda raw: raw.update(hottest=1), "TypeError"),
        ("tiers.json", lambda raw: raw.update(hot=float("nan")), "NaN where a number is expected"),
        ("handoff.json", lambda raw: raw.update(more=1), "ValidationError"),
        ("dataset.json", lambda raw: raw.pop("conversion"), "ValidationError"),
        ("features.json", lambda _: "none", "part of another shape"),
    ],
)
def test_a_part_of_another_shape_is_refused_in_one_line(copy, name, change, found):
    folder = copy("logistic")
    value = json.loads((folder / name).read_text())
    replaced = change(value)
    reseal(folder, name, json.dumps([] if replaced == "none" else value).encode())
    with pytest.raises(BundleError, match=found) as caught:
        read_bundle(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["calibration.json", "themes.npz", "scorecard.toml", "model.txt"])
@pytest.mark.parametrize("data", [b"", b"{}", b"PK\x03\x04", b"\x80\x04N."])
def test_contents_that_are_something_else_are_refused(copy, name, data):
    folder = copy()
    reseal(folder, name, data)
    with pytest.raises(BundleError, match="Found: "):
        load_bundle(folder)


def test_a_file_that_the_manifest_leaves_out_is_missed(copy):
    folder = copy()
    manifest = manifest_of(folder)
    del manifest["files"]["themes.npz"]
    write_manifest(folder, manifest)
    with pytest.raises(BundleError, match=r"themes\.npz"):
        read_bundle(folder)


@pytest.mark.parametrize("change", [{"models": []}, {"libraries": {"lightgbm": 4}}, {"models": {}}])
def test_a_manifest_of_another_shape_is_refused(copy, change):
    folder = copy()
    write_manifest(folder, manifest_of(folder) | change)
    with pytest.raises(BundleError, match="Expected: "):
        load_bundle(folder)


def test_loading_twice_gives_the_same_scores():
    again = load_bundle(bundle_folder("lightgbm"))
    assert score(again, world(), world_snapshots()).equals(
        score(bundle("lightgbm"), world(), world_snapshots())
    )
    assert world_snapshots()["as_of"].unique().to_list() == [AS_OF]


# The hazard model's parts.


@pytest.mark.parametrize("step", ["hazard", "blend"])
@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("hazard.json", lambda raw: raw.update(baseline=[0.0]), "baselines for"),
        ("hazard.json", lambda raw: raw["edges_days"].reverse(), "do not rise from 0"),
        ("hazard.json", lambda raw: {"baseline": raw["baseline"]}, "KeyError: 'edges_days'"),
        (
            "hazard.json",
            lambda raw: raw.update(edges_days=[0, 7, 15, 30, 60]),
            "no interval for 90 days",
        ),
    ],
)
def test_damaged_intervals_are_refused(copy, step, name, change, found):
    folder = copy(step)
    change_json(folder, name, change)
    with pytest.raises(BundleError, match=found):
        load_bundle(folder)


def test_another_baseline_gives_other_answers_and_is_refused(copy):
    folder = copy("hazard")
    change_json(
        folder, "hazard.json", lambda raw: raw["baseline"].append(raw["baseline"].pop() + 1)
    )
    with pytest.raises(BundleError, match="a golden row's probability off by"):
        load_bundle(folder)


def test_trees_of_a_hazard_model_need_the_intervals_number(copy):
    """The trees of one horizon have a feature less."""
    folder = copy("hazard")
    reseal(folder, "model.txt", (bundle_folder("lightgbm") / "model.txt").read_bytes())
    with pytest.raises(BundleError, match="max_feature_idx"):
        load_bundle(folder)


def test_a_bundle_is_asked_at_any_horizon_up_to_its_longest():
    features, learnt = predict(bundle("hazard"), world(), world_snapshots())
    asked = predict_horizons(bundle("hazard").models, features, [10, 30, 45, 90])
    assert (np.diff(asked.probabilities, axis=1) >= 0).all()
    assert (asked.probabilities[:, [1, 3]] == learnt.probabilities).all()
    with pytest.raises(RefusedError, match="from 1 to 90 days"):
        predict_horizons(bundle("hazard").models, features, [91])
