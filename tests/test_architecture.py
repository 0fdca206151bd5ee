"""Imports point one way, servers start light, and no module is a drawer."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "intentcast"
SERVING = ROOT / "serving"
# A module may import those above it. A new module is given its place here.
LAYERS = [
    "errors",
    "client",
    "files",
    "shipped",
    "config",
    "contracts",
    "sources",
    "simulation",
    "examples",
    "snapshots",
    "instants",
    "kinds",
    "engagement",
    "histories",
    "labels",
    "splits",
    "features",
    "scorecards",
    "propensity",
    "trees",
    "tiers",
    "thresholds",
    "account_view",
    "training",
    "seen",
    "stage_walk",
    "stages",
    "returns",
    "handoff",
    "evaluation",
    "feedback",
    "explain",
    "packet",
    "learner_files",
    "bundle",
    "champions",
    "provenance",
    "registry",
    "predicting",
    "answering",
    "scoring",
    "replay",
    "account_scores",
    "tier_changes",
    "forecast",
    "exploration",
    "pyfunc_model",
    "training_figures",
    "model_card",
    "packaging",
    "training_run",
    "recalibration",
    "gate",
    "retraining",
    "monitoring",
    "engines",
    "demo",
    "cli",
    "__main__",
    "__init__",
]
# What a feature or a score never sees: outcomes.
BLIND = {"features", "scoring"}
HEAVY = {"sklearn", "pandas", "mlflow"}
# Where a moment is stamped on what is written, not computed from.
CLOCKED = {"cli", "__main__"}
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc"}
FILES = sorted([*PACKAGE.rglob("*.py"), *SERVING.rglob("*.py")])


def layer(path):
    """Return the top-level module of the package that a file is part of."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path, *, root, package):
    """Return every module that a file imports, absolute, wherever in the file."""
    here = [package, *path.relative_to(root).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found.add(module)
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def layers_imported(path):
    """Return the layers of the package that one of its files imports."""
    names = [name.split(".") for name in imported(path, root=PACKAGE, package="intentcast")]
    return {parts[1] for parts in names if parts[0] == "intentcast" and len(parts) > 1} & set(
        LAYERS
    )


def packages_imported(path):
    """Return the top-level packages that a file imports."""
    root, package = (
        (SERVING, "serving") if path.is_relative_to(SERVING) else (PACKAGE, "intentcast")
    )
    return {name.split(".")[0] for name in imported(path, root=root, package=package)}


def shown(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import intentcast.labels", {"labels"}),
        ("import intentcast.labels as x", {"labels"}),
        ("from intentcast import labels", {"labels"}),
        ("from intentcast.labels import label_snapshots", {"labels"}),
        ("def f():\n    from intentcast.sources.tables import read_table", {"sources"}),
        ("from .. import labels", {"labels"}),
        ("from ..labels import label_snapshots", {"labels"}),
        ("from . import kernel", {"features"}),
        ("from .kernel import decayed_sums", {"features"}),
        ("import numpy", set()),
    ],
)
def test_every_form_of_import_is_seen(monkeypatch, tmp_path, source, expected):
    path = tmp_path / "features" / "example.py"
    path.parent.mkdir()
    path.write_text(source)
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    assert layers_imported(path) == expected


def test_every_module_has_its_place_in_the_list():
    missing = {layer(path) for path in PACKAGE.rglob("*.py")} - {*LAYERS, "__init__"}
    assert not missing, f"give {sorted(missing)} a place in LAYERS"


def test_imports_point_up_the_list_only():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        me = layer(path)
        allowed = LAYERS[: LAYERS.index(me) + 1] if me in LAYERS else []
        wrong += [
            f"{shown(path)} imports {other}" for other in sorted(layers_imported(path) - {*allowed})
        ]
    assert not wrong, "\n".join(wrong)


def test_features_and_scores_never_see_outcomes():
    wrong = [
        shown(path)
        for path in PACKAGE.rglob("*.py")
        if layer(path) in BLIND and "labels" in layers_imported(path)
    ]
    assert not wrong


def test_only_the_registry_imports_mlflow_and_what_mlflow_itself_runs():
    """`pyfunc_model.py` is logged beside a bundle and run by MLflow; nobody here imports it."""
    its_own = PACKAGE / "pyfunc_model.py"
    wrong = [
        shown(path)
        for path in FILES
        if "mlflow" in packages_imported(path) and path not in (PACKAGE / "registry.py", its_own)
    ]
    assert not wrong
    assert not [shown(p) for p in PACKAGE.rglob("*.py") if "pyfunc_model" in layers_imported(p)]


def test_scoring_and_the_server_name_no_heavy_library():
    mine = [path for path in PACKAGE.rglob("*.py") if layer(path) == "scoring"]
    wrong = {
        shown(path): packages_imported(path) & HEAVY for path in [*mine, *SERVING.rglob("*.py")]
    }
    assert not any(wrong.values()), wrong


def light_modules():
    """Return what a server imports, as far as it is there."""
    wanted = ["features", "propensity", "bundle", "explain", "scoring", "histories"]
    there = [
        name for name in wanted if (PACKAGE / name).exists() or (PACKAGE / f"{name}.py").exists()
    ]
    serving = [path.relative_to(ROOT).with_suffix("").parts for path in SERVING.rglob("*.py")]
    return [
        *(f"intentcast.{name}" for name in there),
        *(
            ".".join(parts).removesuffix(".__init__")
            for parts in serving
            if parts[-1] != "__main__"
        ),
    ]


def test_what_a_server_imports_loads_neither_scikit_learn_nor_pandas_nor_mlflow():
    code = (
        "import importlib, sys\n"
        "import intentcast.features\n"
        "assert 'intentcast.labels' not in sys.modules, 'features load labels'\n"
        f"for name in {sorted(light_modules())!r}:\n"
        "    importlib.import_module(name)\n"
        f"    loaded = {sorted(HEAVY)!r}\n"
        "    loaded = [heavy for heavy in loaded if heavy in sys.modules]\n"
        "    assert not loaded, f'{name} loads {loaded}'\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert run.returncode == 0, run.stderr


def test_nothing_is_pickled():
    pickles = {"pickle", "cPickle", "joblib", "dill", "cloudpickle", "shelve"}
    wrong = {shown(path): sorted(packages_imported(path) & pickles) for path in FILES}
    assert not {path: names for path, names in wrong.items() if names}


def test_no_array_file_may_hold_a_pickle():
    wrong = [
        f"{shown(path)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword)
        and node.arg == "allow_pickle"
        and not (isinstance(node.value, ast.Constant) and node.value.value is False)
    ]
    assert not wrong


def test_no_default_comes_from_the_clock_or_from_unseeded_chance():
    """The command line and the server may look at the clock: they say so in their answers."""
    clocks = {"now", "utcnow", "today"}
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            reads_clock = node.func.attr in clocks and layer(path) not in CLOCKED
            no_seed = node.func.attr == "default_rng" and not (node.args or node.keywords)
            if reads_clock or no_seed:
                wrong.append(f"{shown(path)}:{node.lineno} calls {node.func.attr}()")
    assert not wrong, "\n".join(wrong)


def test_no_module_is_a_drawer():
    parts = {part for path in FILES for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not parts & DRAWERS


def test_modules_are_short():
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {path: n for path, n in lengths.items() if n > 400} == {}
    assert statistics.median(lengths.values()) <= 150
