"""The registry is a real MLflow store on SQLite in a temporary folder."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from intentcast.errors import InputError
from intentcast.histories import history_from_json
from intentcast.provenance import code_version, fingerprint_data
from intentcast.registry import (
    CHALLENGER,
    CHAMPION,
    _aliased_version,
    _client,
    add_to_run,
    parameter_of,
    register,
    set_champion,
    tag_version,
)
from intentcast.scoring import answer_history, load_bundle
from intentcast.training_run import flattened, register_bundle
from tests.tiny_world import (
    later_bundle_folder,
    tiny_bundle,
    tiny_bundle_folder,
    tiny_config,
    tiny_folder,
)

# MLflow asks SQLAlchemy for a loader that will go away; that is between the two of them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning:mlflow",
    # It would like what it loads to have type hints.
    "ignore:.*type hint:UserWarning:mlflow",
)


def registered(store, *, bundle=None, name="small", **more):
    return register(
        bundle or tiny_bundle_folder(),
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
        registered(folder, bundle=later_bundle_folder()),
        registered(folder, name="other"),
    ]
    return folder, found


def test_the_first_version_is_the_champion_and_the_next_a_challenger(store):
    _, (first, second, _) = store
    assert (first.number, first.alias) == (1, CHAMPION)
    assert (second.number, second.alias) == (2, CHALLENGER)
    assert first.bundle == tiny_bundle_folder()
    assert first.run_id != second.run_id


def test_each_model_has_a_champion_of_its_own(store):
    _, (_, _, other) = store
    assert (other.name, other.number, other.alias) == ("other", 1, CHAMPION)


def client_of(folder):
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def bundle_of(folder, name, alias):
    """Return the name of the bundle whose version MLflow gives for an alias."""
    return client_of(folder).get_model_version_by_alias(name, alias).tags["bundle"]


def test_an_alias_points_to_the_bundle(store):
    folder, _ = store
    assert bundle_of(folder, "small", CHAMPION) == tiny_bundle_folder().name
    assert bundle_of(folder, "small", CHALLENGER) == later_bundle_folder().name


def test_a_promotion_moves_the_aliases(store, tmp_path):
    folder = shutil.copytree(store[0], tmp_path / "store")
    set_champion("small", later_bundle_folder().name, store=folder, tags={"gate": "passed"})
    assert bundle_of(folder, "small", CHAMPION) == later_bundle_folder().name
    assert bundle_of(folder, "small", "previous") == tiny_bundle_folder().name
    assert CHALLENGER not in client_of(folder).get_registered_model("small").aliases


def artifacts(folder, version):
    return folder / "artifacts" / version.run_id / "artifacts"


def test_a_run_keeps_parameters_metrics_and_the_whole_bundle(store):
    folder, (first, _, _) = store
    run = client_of(folder).get_run(first.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "7", "step": "logistic"}
    assert run.data.metrics == {"log_loss_90d": 0.19}
    kept = artifacts(folder, first)
    assert load_bundle(kept / "bundle").sha256 == load_bundle(tiny_bundle_folder()).sha256
    card = (tiny_bundle_folder() / "model_card.md").read_text("utf-8")
    assert (kept / "model_card.md").read_text("utf-8") == card
    assert run.data.tags["mlflow.note.content"] == card[:4000]


def test_registering_a_bundle_again_is_the_same_run_and_version(store):
    folder, (first, _, _) = store
    assert registered(folder) == first
    assert len(client_of(folder).search_model_versions("name = 'small'")) == 2


@pytest.mark.slow
def test_a_registration_that_was_stopped_goes_on_in_its_run(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("intentcast.registry._log_bundle", stop)
        with pytest.raises(KeyboardInterrupt):
            registered(tmp_path)
    found = registered(tmp_path)
    [run] = client_of(tmp_path).search_runs(
        [client_of(tmp_path).get_run(found.run_id).info.experiment_id]
    )
    assert run.info.run_id == found.run_id
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "7", "step": "logistic"}
    assert (found.number, found.alias) == (1, CHAMPION)


def test_a_report_is_added_to_the_run_of_its_bundle(store, tmp_path):
    folder, (_, second, _) = store
    (tmp_path / "report.html").write_text("<!doctype html>")
    there = add_to_run(
        "small",
        later_bundle_folder().name,
        store=folder,
        files=[tmp_path / "report.html"],
        metrics={"backtest.auc": 0.8, "log_loss_90d": 0.5},
        folder="report",
    )
    assert there
    assert (artifacts(folder, second) / "report" / "report.html").is_file()
    metrics = client_of(folder).get_run(second.run_id).data.metrics
    assert metrics == {"backtest.auc": 0.8, "log_loss_90d": 0.19}
    assert not add_to_run("small", "x", store=folder, files=[], metrics={}, folder="report")


def test_a_training_is_a_whole_run(store):
    folder, _ = store
    found = register_bundle(
        tiny_bundle_folder(),
        data=tiny_folder(),
        fingerprint=fingerprint_data(tiny_folder()),
        config=tiny_config(),
        store=folder,
    )
    run = client_of(folder).get_run(found.run_id)
    told = run.data.params
    flat = {
        key: str(value) for key, value in flattened(tiny_config().model_dump(mode="json")).items()
    }
    assert told.items() >= flat.items()
    assert told["booster.rounds"] == "10"
    assert told["features.half_lives_days"] == "[14.0]"
    assert told["seed"] == "7"
    assert told["step"] in ("logistic", "hazard", "blend")
    assert told["known_by"] == run.data.tags["data_cutoff"] == tiny_bundle().data_cutoff
    assert told["data"] == str(tiny_folder())
    fingerprint = fingerprint_data(tiny_folder())
    assert told["data_sha256"] == fingerprint.sha256
    assert run.inputs.dataset_inputs[0].dataset.digest == fingerprint.sha256[:36]
    assert json.loads(run.data.tags["data_files"]) == fingerprint.files
    assert run.data.tags["code_sha256"] == code_version().sha256
    metrics = json.loads((tiny_bundle_folder() / "metrics.json").read_bytes())
    assert run.data.metrics["horizons.90.auc"] == metrics["horizons"]["90"]["auc"]
    assert run.data.metrics["n_converted"] == metrics["n_converted"]
    assert parameter_of("tiny", tiny_bundle_folder().name, "data", store=folder) == str(
        tiny_folder()
    )


# The model as MLflow loads it.


def test_nothing_in_a_runs_artefacts_is_a_pickle(store):
    folder, (first, _, _) = store
    files = [path for path in artifacts(folder, first).rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".joblib")]
    # A pickle of any protocol since 2 begins with this byte and its protocol's number.
    assert not [p for p in files if p.read_bytes()[:1] == b"\x80"]
    assert "model_code_path" in (artifacts(folder, first) / "model" / "MLmodel").read_text()


def requests():
    return [row["request"] for row in tiny_bundle().golden]


def expected(request):
    answer = answer_history(tiny_bundle(), history_from_json(request), explain=True)
    return json.loads(json.dumps(answer))


@pytest.fixture(scope="module")
def loaded(store):
    """The first version, as `mlflow.pyfunc.load_model` gives it."""
    import mlflow.pyfunc

    folder, (first, _, _) = store
    return mlflow.pyfunc.load_model(str(artifacts(folder, first) / "model"))


def test_mlflow_loads_the_model_and_answers_to_the_bit(loaded):
    import pandas as pd

    found = loaded.predict(pd.DataFrame({"request": [json.dumps(r) for r in requests()]}))
    assert json.loads(json.dumps(found)) == [expected(request) for request in requests()]


@pytest.mark.parametrize(
    "body", ["{", "[]", "{}", '{"lead": {"lead_id": "SECRET", "created_at": "x"}, "as_of": NaN}']
)
def test_a_row_that_is_no_request_is_named_and_its_values_are_not(loaded, body):
    import pandas as pd

    good = json.dumps(requests()[0])
    with pytest.raises(ValueError, match="row 1 is no body") as caught:
        loaded.predict(pd.DataFrame({"request": [good, body]}))
    assert "SECRET" not in str(caught.value)


@pytest.mark.slow
def test_mlflow_models_serve_answers_to_the_bit(store):
    """A real server process on loopback, of the run's folder alone."""
    folder, (first, _, _) = store
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["-m", str(artifacts(folder, first) / "model"), "-h", "127.0.0.1", "-p", str(port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "NO_PROXY": "127.0.0.1"}
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment, "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": path},
        start_new_session=True,
    )
    try:
        body = {"dataframe_records": [{"request": json.dumps(requests()[3])}]}
        answer = post_when_ready(f"http://127.0.0.1:{port}", body, process)
    finally:
        # It starts workers of its own: the whole group that this test began.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)
    assert answer == {"predictions": [expected(requests()[3])]}


def post_when_ready(address, body, process):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 180
    while True:
        try:
            opener.open(f"{address}/ping", timeout=5).close()
            break
        except OSError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not become ready"
            time.sleep(0.3)
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with opener.open(request, timeout=60) as answer:
        return json.load(answer)


# A store that cannot be used.


def test_a_corrupt_store_is_refused_in_one_line_and_the_bundle_stays(tmp_path):
    bundle = shutil.copytree(tiny_bundle_folder(), tmp_path / "bundle")
    (tmp_path / "mlflow.db").write_bytes(b"this is not a database, whatever its name says\n" * 99)
    with pytest.raises(InputError, match=r"mlflow\.db.* Next: move") as caught:
        registered(tmp_path, bundle=bundle)
    assert "\n" not in str(caught.value)
    assert load_bundle(bundle).name == "tiny"
    with pytest.raises(InputError, match=r"mlflow\.db"):
        tag_version("small", bundle.name, store=tmp_path, tags={})


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
        tag_version("small", "x", store=tmp_path / "file" / "below", tags={})


@pytest.fixture
def without_aliases(tmp_path, store):
    """A copy of the store in which aliases cannot be asked for, as of a database that is locked."""
    folder = shutil.copytree(store[0], tmp_path / "store")
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.execute("alter table registered_model_aliases rename to away")
    return folder


def test_where_aliases_cannot_be_read_no_version_becomes_champion(without_aliases):
    """It is not as if nobody were champion: a new version would take the place unasked."""
    with pytest.raises(InputError, match="Found: the registry"):
        registered(without_aliases, bundle=later_bundle_folder())
    with pytest.raises(InputError, match="Found: the registry"):
        set_champion("small", later_bundle_folder().name, store=without_aliases, tags={})


def test_an_error_of_the_store_is_not_taken_for_an_absent_alias(without_aliases):
    client, broken = _client(without_aliases)
    with pytest.raises(broken):
        _aliased_version(client, "small", CHAMPION)


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
