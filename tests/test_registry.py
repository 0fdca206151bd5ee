"""The registry is a real MLflow store on SQLite in a temporary folder."""

import shutil
import sqlite3

import pytest

from intentcast.errors import InputError
from intentcast.registry import CHALLENGER, CHAMPION, aliased, register
from intentcast.scoring import load_bundle
from tests.fixtures_world import bundle_folder

# MLflow asks SQLAlchemy for a loader that will go away; that is between the two of them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning:mlflow"
)


def registered(store, *, bundle=None, name="small", **more):
    return register(
        bundle or bundle_folder("logistic"),
        name=name,
        store=store,
        **(
            {"parameters": {"seed": 7, "step": "logistic"}, "metrics": {"log_loss_90d": 0.19}}
            | more
        ),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with two versions of `small` and one of `other`."""
    folder = tmp_path_factory.mktemp("registry")
    found = [
        registered(folder),
        registered(folder, bundle=bundle_folder("lightgbm")),
        registered(folder, name="other"),
    ]
    return folder, found


def test_the_first_version_is_the_champion_and_the_next_a_challenger(store):
    _, (first, second, _) = store
    assert (first.number, first.alias) == (1, CHAMPION)
    assert (second.number, second.alias) == (2, CHALLENGER)
    assert first.bundle == bundle_folder("logistic")
    assert first.run_id != second.run_id


def test_each_model_has_a_champion_of_its_own(store):
    _, (_, _, other) = store
    assert (other.name, other.number, other.alias) == ("other", 1, CHAMPION)


def test_an_alias_points_to_the_bundle(store):
    folder, _ = store
    assert aliased("small", CHAMPION, store=folder) == bundle_folder("logistic").name
    assert aliased("small", CHALLENGER, store=folder) == bundle_folder("lightgbm").name
    assert aliased("small", "absent", store=folder) is None
    assert aliased("absent", CHAMPION, store=folder) is None


def test_a_run_keeps_parameters_metrics_and_the_whole_bundle(store):
    from mlflow.tracking import MlflowClient

    folder, (first, _, _) = store
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    run = client.get_run(first.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "7", "step": "logistic"}
    assert run.data.metrics == {"log_loss_90d": 0.19}
    kept = folder / "artifacts" / first.run_id / "artifacts" / "bundle"
    assert load_bundle(kept).sha256 == load_bundle(bundle_folder("logistic")).sha256


def test_a_corrupt_store_is_refused_in_one_line_and_the_bundle_stays(tmp_path):
    bundle = shutil.copytree(bundle_folder("logistic"), tmp_path / "bundle")
    (tmp_path / "mlflow.db").write_bytes(b"this is not a database, whatever its name says\n" * 99)
    with pytest.raises(InputError, match=r"mlflow\.db.* Next: move") as caught:
        registered(tmp_path, bundle=bundle)
    assert "\n" not in str(caught.value)
    assert load_bundle(bundle).name == "small"
    with pytest.raises(InputError, match=r"mlflow\.db"):
        aliased("small", CHAMPION, store=tmp_path)


def test_a_database_of_something_else_is_refused_in_one_line(tmp_path):
    with sqlite3.connect(tmp_path / "mlflow.db") as other:
        other.execute("create table alembic_version (version_num text)")
        other.execute("insert into alembic_version values ('of another program')")
    with pytest.raises(InputError, match=r"mlflow\.db") as caught:
        registered(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_store_that_cannot_be_a_folder_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="Found: the registry"):
        registered(tmp_path / "file")
    with pytest.raises(InputError, match="Found: the registry"):
        aliased("small", CHAMPION, store=tmp_path / "file" / "below")


@pytest.mark.slow
def test_a_locked_store_is_refused_in_one_line(tmp_path, store):
    folder, _ = store
    shutil.copy(folder / "mlflow.db", tmp_path / "mlflow.db")
    lock = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    lock.execute("begin exclusive")
    try:
        with pytest.raises(InputError, match="locked") as caught:
            registered(tmp_path)
    finally:
        lock.close()
    assert "\n" not in str(caught.value)
