"""Runs and model versions in MLflow on SQLite: the only module that imports mlflow.

It is never on the way of a prediction: the server reads a bundle folder, and the registry only
says which one is the champion.
"""

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any

from intentcast.errors import InputError

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
_LONGEST_TAG = 4000
_PER_BATCH = 100
# Tags that tell which bundle a run or a version is of.
_BUNDLE, _DIGEST = "bundle", "bundle_sha256"


@dataclass(frozen=True)
class RegisteredVersion:
    """One version of a registered model.

    Attributes:
        name: Of the model: the data set's.
        number: MLflow's, from 1.
        alias: `champion` if it is the first of its name, else `challenger`.
        run_id: MLflow's run.
        bundle: Its folder.
    """

    name: str
    number: int
    alias: str
    run_id: str
    bundle: Path


@dataclass(frozen=True)
class TrainingData:
    """What a run learnt from.

    Attributes:
        name: Of the data set.
        sha256: Its fingerprint.
        place: Its folder.
    """

    name: str
    sha256: str
    place: str


def register(
    bundle: Path,
    *,
    name: str,
    store: Path,
    parameters: Mapping[str, str | float],
    metrics: Mapping[str, float],
    tags: Mapping[str, str] | None = None,
    data: TrainingData | None = None,
    may_lead: bool = True,
) -> RegisteredVersion:
    """Log a training as an MLflow run and register its model as a version.

    The run holds the parameters, the metrics, the data it learnt from, the model card, the bundle
    (`bundle/`, what the commands and the server take) and the model as MLflow loads it (`model/`,
    a copy of the bundle with `pyfunc_model.py`: what `mlflow models serve` takes).

    Done twice for one bundle, as after a stop in between, it is one run and one version.

    Args:
        bundle: A bundle folder.
        name: Of the registered model.
        store: Folder for `mlflow.db` and artefacts; made if absent.
        parameters: Of the run.
        metrics: Of the run.
        tags: Of the run.
        data: What it learnt from.
        may_lead: Whether it becomes champion where its name has none.

    Raises:
        InputError: If the store cannot be opened, or MLflow is not installed.
    """
    client, mlflow_error = _client(store)
    digest = hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    try:
        version = _version_with(client, name, _DIGEST, digest)
        if version is None:
            run = _run_for(client, name, bundle.name, digest, store)
            told = {**(tags or {}), _DIGEST: digest, _BUNDLE: bundle.name}
            _log(client, run.info.run_id, parameters, metrics, told, data)
            _log_bundle(client, run.info.run_id, bundle)
            client.set_terminated(run.info.run_id)
            if not client.search_registered_models(filter_string=f"name = '{name}'"):
                client.create_registered_model(name)
            card = bundle / "model_card.md"
            version = client.create_model_version(
                name,
                source=f"{run.info.artifact_uri}/model",
                run_id=run.info.run_id,
                tags={_BUNDLE: bundle.name, _DIGEST: digest},
                description=card.read_text("utf-8")[:_LONGEST_TAG] if card.is_file() else None,
            )
        alias = _alias(client, name, version, may_lead=may_lead)
    except mlflow_error as error:
        raise _unusable(store, error, f"; the bundle itself is whole in {bundle}") from None
    return RegisteredVersion(name, int(version.version), alias, version.run_id, bundle)


def add_to_run(
    name: str,
    bundle: str,
    *,
    store: Path,
    files: Sequence[Path],
    metrics: Mapping[str, float],
    folder: str,
) -> bool:
    """Keep files and metrics with the run that made a bundle; return whether there is one.

    Args:
        name: Of the registered model.
        bundle: Name of the bundle's folder.
        store: Of `register`.
        files: Such as a report.
        metrics: Those that the run has already are left as they are.
        folder: Of the run's artefacts.

    Raises:
        InputError: If the store cannot be opened.
    """
    client, mlflow_error = _client(store)
    try:
        version = _version_with(client, name, _BUNDLE, bundle)
        if version is None:
            return False
        there = client.get_run(version.run_id).data.metrics
        new = {key: value for key, value in metrics.items() if key not in there}
        _log(client, version.run_id, {}, new, {}, None)
        for path in files:
            client.log_artifact(version.run_id, str(path), artifact_path=folder)
    except mlflow_error as error:
        raise _unusable(store, error) from None
    return True


def _run_for(client: Any, name: str, bundle: str, digest: str, store: Path) -> Any:
    """Return the run of a bundle that was begun and not finished, or a new one."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        artifacts = (store / "artifacts").resolve().as_uri()
        experiment_id = client.create_experiment(name, artifact_location=artifacts)
    else:
        experiment_id = experiment.experiment_id
    begun = client.search_runs([experiment_id], f"tags.{_DIGEST} = '{digest}'", max_results=1)
    if begun:
        return begun[0]
    return client.create_run(experiment_id, run_name=bundle, tags={_DIGEST: digest})


def _log(
    client: Any,
    run_id: str,
    parameters: Mapping[str, str | float],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    data: TrainingData | None,
) -> None:
    from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag

    values = [Param(key, str(value)) for key, value in sorted(parameters.items())]
    for first in range(0, len(values), _PER_BATCH):
        client.log_batch(run_id, params=values[first : first + _PER_BATCH])
    client.log_batch(
        run_id,
        # At no time of their own: the run has one, and a metric logged twice is the same.
        metrics=[Metric(key, value, 0, 0) for key, value in sorted(metrics.items())],
        tags=[RunTag(key, value[:_LONGEST_TAG]) for key, value in sorted(tags.items())],
    )
    if data is not None:
        source = Dataset(data.name, data.sha256[:36], "local", json.dumps({"uri": data.place}))
        client.log_inputs(run_id, [DatasetInput(source, [])])


def _log_bundle(client: Any, run_id: str, bundle: Path) -> None:
    """Log the model card, the bundle and the model that MLflow loads."""
    card = bundle / "model_card.md"
    if card.is_file():
        client.log_artifact(run_id, str(card))
        client.set_tag(run_id, "mlflow.note.content", card.read_text("utf-8")[:_LONGEST_TAG])
    client.log_artifacts(run_id, str(bundle), artifact_path="bundle")
    with tempfile.TemporaryDirectory() as temporary:
        _save_model(bundle, Path(temporary) / "model")
        client.log_artifacts(run_id, f"{temporary}/model", artifact_path="model")


def _save_model(bundle: Path, folder: Path) -> None:
    """Write the model that MLflow loads: `pyfunc_model.py`, a bundle, and what they need."""
    libraries = ("intentcast", "mlflow", "lightgbm", "numpy", "polars")
    with warnings.catch_warnings(record=True):
        # It would like type hints and an example, where the signature says it all.
        warnings.simplefilter("ignore")
        from mlflow.models import ModelSignature
        from mlflow.pyfunc import save_model
        from mlflow.types import ColSpec, DataType, Schema

        save_model(
            str(folder),
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={"bundle": str(bundle.resolve())},
            signature=ModelSignature(inputs=Schema([ColSpec(DataType.string, "request")])),
            pip_requirements=[f"{name}=={library_version(name)}" for name in libraries],
        )


def _alias(client: Any, name: str, version: Any, *, may_lead: bool) -> str:
    """Give a version its alias, unless it has one; return it."""
    holder = _aliased_version(client, name, CHAMPION)
    if holder is not None and holder.version == version.version:
        return CHAMPION
    alias = CHAMPION if holder is None and may_lead else CHALLENGER
    client.set_registered_model_alias(name, alias, version.version)
    return alias


def set_champion(
    name: str, bundle: str, *, store: Path, tags: Mapping[str, str]
) -> RegisteredVersion:
    """Let the alias `champion` point to the version of a bundle, and `previous` to the one before.

    Args:
        name: Of the registered model.
        bundle: Name of the bundle's folder.
        store: Of `register`.
        tags: Kept with the version, such as the reason.

    Raises:
        InputError: If the store cannot be opened, or has no version of that bundle.
    """
    client, mlflow_error = _client(store)
    try:
        version = _version_with(client, name, _BUNDLE, bundle)
        if version is None:
            raise InputError(
                f"no version of {name} with the bundle {bundle} in {store}",
                expected="a bundle that `intentcast train` registered there",
                next_step="give the --registry it was trained with, or train again",
            )
        before = _aliased_version(client, name, CHAMPION)
        if before is not None and before.version != version.version:
            client.set_registered_model_alias(name, PREVIOUS, before.version)
        client.set_registered_model_alias(name, CHAMPION, version.version)
        challenger = _aliased_version(client, name, CHALLENGER)
        if challenger is not None and challenger.version == version.version:
            client.delete_registered_model_alias(name, CHALLENGER)
        _tag(client, name, version.version, tags)
    except mlflow_error as error:
        raise _unusable(store, error) from None
    return RegisteredVersion(name, int(version.version), CHAMPION, version.run_id, Path(bundle))


def tag_version(name: str, bundle: str, *, store: Path, tags: Mapping[str, str]) -> bool:
    """Keep tags with the version of a bundle; return whether there is one.

    Raises:
        InputError: If the store cannot be opened.
    """
    client, mlflow_error = _client(store)
    try:
        version = _version_with(client, name, _BUNDLE, bundle)
        if version is None:
            return False
        _tag(client, name, version.version, tags)
    except mlflow_error as error:
        raise _unusable(store, error) from None
    return True


def parameter_of(name: str, bundle: str, key: str, *, store: Path) -> str | None:
    """Return a parameter of the run that made a bundle, or None.

    Raises:
        InputError: If the store cannot be opened.
    """
    client, mlflow_error = _client(store)
    try:
        version = _version_with(client, name, _BUNDLE, bundle)
        if version is None:
            return None
        value = client.get_run(version.run_id).data.params.get(key)
    except mlflow_error as error:
        raise _unusable(store, error) from None
    return None if value is None else str(value)


def _version_with(client: Any, name: str, tag: str, value: str) -> Any:
    """Return the latest version with a tag of that value, or None."""
    found = client.search_model_versions(f"name = '{name}'")
    tagged = [version for version in found if version.tags.get(tag) == value]
    return max(tagged, key=lambda version: int(version.version), default=None)


def _aliased_version(client: Any, name: str, alias: str) -> Any:
    """Return the version of a registered model that an alias points to, or None."""
    # Asked for the alias itself, MLflow answers an absent one with the error of a bad argument.
    number = client.get_registered_model(name).aliases.get(alias)
    return None if number is None else client.get_model_version(name, number)


def _tag(client: Any, name: str, version: str, tags: Mapping[str, str]) -> None:
    for key, value in sorted(tags.items()):
        client.set_model_version_tag(name, version, key, value[:_LONGEST_TAG])


def _unusable(store: Path, error: Exception, more: str = "") -> InputError:
    return InputError(
        f"the registry in {store} cannot be used ({str(error).splitlines()[0][:120]})",
        expected="an MLflow store on SQLite that this user can write to",
        next_step=f"move {store / 'mlflow.db'} away, or give another --registry{more}",
    )


def _client(store: Path):  # type: ignore[no-untyped-def]
    """Return an MLflow client on the store, and the exceptions that mean a broken store."""
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    try:
        import logging

        from alembic.util.exc import CommandError
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:
        raise InputError(
            "MLflow is not installed",
            expected="the extra 'train'",
            next_step="install intentcast[train], or train with --no-registry",
        ) from None
    # CommandError: the file is another program's, or a later MLflow's.
    broken = (MlflowException, SQLAlchemyError, CommandError, OSError)
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = f"sqlite:///{(store / 'mlflow.db').resolve()}"
    try:
        store.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    except broken as error:
        raise InputError(
            f"the registry {store / 'mlflow.db'} cannot be opened "
            f"({str(error).splitlines()[0][:120]})",
            expected="an MLflow store on SQLite",
            next_step="move the file away, or give another --registry",
        ) from None
    return client, broken
