"""Runs and model versions in MLflow on SQLite: the only module that imports mlflow.

It is never on the way of a prediction: the server reads a bundle folder, and the registry only
says which one is the champion.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intentcast.errors import InputError

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
_LONGEST_TAG = 4000


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


def register(
    bundle: Path,
    *,
    name: str,
    store: Path,
    parameters: Mapping[str, str | float],
    metrics: Mapping[str, float],
) -> RegisteredVersion:
    """Log a training run with its bundle and register the bundle as a model version.

    Args:
        bundle: A bundle folder.
        name: Of the registered model.
        store: Folder for `mlflow.db` and artefacts; made if absent.
        parameters: Of the run.
        metrics: Of the run.

    Raises:
        InputError: If the store cannot be opened, or MLflow is not installed.
    """
    client, mlflow_error = _client(store)
    try:
        artifacts = (store / "artifacts").resolve().as_uri()
        experiment = client.get_experiment_by_name(name)
        experiment_id = (
            experiment.experiment_id
            if experiment
            else client.create_experiment(name, artifact_location=artifacts)
        )
        run = client.create_run(experiment_id, run_name=bundle.name)
        run_id: str = run.info.run_id
        for key, parameter in sorted(parameters.items()):
            client.log_param(run_id, key, parameter)
        for key, metric in sorted(metrics.items()):
            client.log_metric(run_id, key, metric)
        client.log_artifacts(run_id, str(bundle), artifact_path="bundle")
        client.set_terminated(run_id)
        is_first = not client.search_registered_models(filter_string=f"name = '{name}'")
        if is_first:
            client.create_registered_model(name)
        version = client.create_model_version(
            name,
            source=f"{run.info.artifact_uri}/bundle",
            run_id=run_id,
            tags={"bundle": bundle.name},
        )
        alias = CHAMPION if is_first else CHALLENGER
        client.set_registered_model_alias(name, alias, version.version)
    except mlflow_error as error:
        raise _unusable(store, error, f"; the bundle itself is whole in {bundle}") from None
    return RegisteredVersion(name, int(version.version), alias, run_id, bundle)


def aliased(name: str, alias: str, *, store: Path) -> str | None:
    """Return the name of the bundle folder that an alias points to, or None.

    Raises:
        InputError: If the store cannot be opened.
    """
    client, mlflow_error = _client(store)
    version = _aliased_version(client, name, alias, mlflow_error)
    bundle = version.tags.get("bundle") if version is not None else None
    return str(bundle) if bundle else None


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
        version = _version_of(client, name, bundle)
        if version is None:
            raise InputError(
                f"no version of {name} with the bundle {bundle} in {store}",
                expected="a bundle that `intentcast train` registered there",
                next_step="give the --registry it was trained with, or train again",
            )
        before = _aliased_version(client, name, CHAMPION, mlflow_error)
        if before is not None and before.version != version.version:
            client.set_registered_model_alias(name, PREVIOUS, before.version)
        client.set_registered_model_alias(name, CHAMPION, version.version)
        challenger = _aliased_version(client, name, CHALLENGER, mlflow_error)
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
        version = _version_of(client, name, bundle)
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
        version = _version_of(client, name, bundle)
        if version is None:
            return None
        value = client.get_run(version.run_id).data.params.get(key)
    except mlflow_error as error:
        raise _unusable(store, error) from None
    return None if value is None else str(value)


def _version_of(client: Any, name: str, bundle: str) -> Any:
    """Return the latest version that was registered with a bundle folder's name, or None."""
    found = client.search_model_versions(f"name = '{name}'")
    of_bundle = [version for version in found if version.tags.get("bundle") == bundle]
    return max(of_bundle, key=lambda version: int(version.version), default=None)


def _aliased_version(client: Any, name: str, alias: str, mlflow_error: Any) -> Any:
    try:
        return client.get_model_version_by_alias(name, alias)
    except mlflow_error:
        return None


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
