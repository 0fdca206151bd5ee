"""One safe, checksummed, versioned artefact: a folder of JSON, TOML, npz and LightGBM text.

No pickle. Written to a temporary folder, synced, renamed: a bundle is there whole or not at all.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any

import numpy as np

from intentcast.account_view import ACCOUNT_VIEW, AccountView
from intentcast.config import DatasetConfig, LearnerConfig
from intentcast.errors import BundleError, IntentcastError
from intentcast.features import FeatureSpec, Featurizer, ThemeModel
from intentcast.files import json_bytes
from intentcast.handoff import HandoffSettings
from intentcast.learner_files import learner_files, read_learners, same_shapes
from intentcast.propensity import Calibrator, HorizonModel
from intentcast.scorecards import Scorecard, parse_scorecard
from intentcast.tiers import TierPolicy

FORMAT = 3
MANIFEST = "manifest.json"
LIBRARIES = ("lightgbm", "numpy", "polars")
_LARGEST_FILE = 512 * 1024 * 1024
_FILE_NAME = re.compile(r"^[a-z0-9_]+\.(json|npz|txt|toml|md)$")


@dataclass(frozen=True)
class Bundle:
    """A loaded model and all that an answer needs.

    Attributes:
        name: Of the data set.
        version: Day of training and number.
        sha256: Of the manifest, which holds every file's.
        created: When it was written.
        data_cutoff: Nothing known at or after this instant was learnt from.
        featurizer: Vocabulary and themes.
        models: Per horizon in days.
        tiers: Thresholds.
        handoff: Criteria and stage signals.
        config: The data set's settings.
        scorecard: The points table answered beside the model, if there is one.
        golden: Requests with their expected probabilities.
        manifest: As read.
        settings: What it was trained with, if it says.
        accounts: How the leads of an account convert together, if it says.
    """

    name: str
    version: str
    sha256: str
    created: str
    data_cutoff: str
    featurizer: Featurizer
    models: Mapping[int, HorizonModel]
    tiers: TierPolicy
    handoff: HandoffSettings
    config: DatasetConfig
    scorecard: Scorecard | None
    golden: list[dict[str, Any]]
    manifest: dict[str, Any]
    settings: LearnerConfig | None = None
    accounts: AccountView | None = None

    @property
    def primary_horizon_days(self) -> int:
        """The horizon that tiers and reasons are about."""
        return self.config.conversion.primary_horizon_days

    @property
    def abstain_wider_than(self) -> float:
        """The width of an interval, high less low, above which a lead is too little known."""
        return (self.settings or LearnerConfig()).calibration.abstain_wider_than


@dataclass(frozen=True)
class BundleContents:
    """What is to be written: each part as bytes by file name, and the manifest's own fields."""

    name: str
    files: Mapping[str, bytes]
    fields: Mapping[str, Any]


def model_files(
    featurizer: Featurizer, models: Mapping[int, HorizonModel], primary: int
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the files of features, themes, learners and calibrators, and which step is where."""
    themes = featurizer.themes
    files: dict[str, bytes] = {
        "features.json": json_bytes(featurizer.spec.to_json()),
        "themes.json": json_bytes(
            {
                "names": themes.names,
                "vocabulary": themes.vocabulary,
                "examples": themes.examples,
                "owners": themes.owners,
            }
        ),
        "themes.npz": _npz(idf=themes.idf, centroids=themes.centroids),
        "calibration.json": json_bytes(
            {str(days): model.calibrator.to_json() for days, model in sorted(models.items())}
        ),
    }
    of_learners, steps = learner_files(models, primary)
    return files | of_learners, steps


def _npz(**arrays: np.ndarray[Any, Any]) -> bytes:
    import io

    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def write_bundle(contents: BundleContents, out: Path, *, created: datetime) -> Path:
    """Write a bundle into a new folder of `out` and return it.

    The version is the day of `created` and the next free number.

    Raises:
        BundleError: If `out` cannot be written to.
    """
    temporary: Path | None = None
    try:
        out.mkdir(parents=True, exist_ok=True)
        day = f"{created:%Y-%m-%d}"
        number = 1
        while (out / f"{contents.name}-{day}.{number}").exists():
            number += 1
        version = f"{day}.{number}"
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=out))
        temporary.chmod(0o755)
        for name, data in sorted(contents.files.items()):
            _write_synced(temporary / name, data)
        manifest = {
            "format": FORMAT,
            "name": contents.name,
            "version": version,
            "created": created.isoformat(),
            **contents.fields,
            "libraries": {name: library_version(name) for name in LIBRARIES},
            "files": {
                name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
                for name, data in sorted(contents.files.items())
            },
        }
        manifest["sha256"] = _own_digest(manifest)
        _write_synced(temporary / MANIFEST, json_bytes(manifest))
        _sync_folder(temporary)
        final = out / f"{contents.name}-{version}"
        temporary.rename(final)
        _sync_folder(out)
    except OSError as error:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        raise BundleError(
            f"cannot write a bundle into {out} ({error.strerror})",
            expected="a folder that can be written to, with room in it",
            next_step="choose another --out",
        ) from None
    return final


def _own_digest(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the manifest's own values, but for the digest itself."""
    own = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle: checksums first, then the trees' structure, then the parts.

    Golden rows are checked by `scoring.load_bundle`, which can compute them.

    Raises:
        BundleError: Saying which file is wrong and how.
    """
    files, manifest, digest = _verified_files(folder)
    try:
        return _assemble(folder, files, manifest, digest)
    except (LookupError, TypeError, ValueError, AttributeError, EOFError, RecursionError) as error:
        said = " ".join(str(error).split())[:160]
        raise BundleError(
            f"{folder.name} has a part of another shape ({type(error).__name__}: {said})",
            expected="a bundle that this version wrote",
            next_step="train again with this version",
        ) from None


def _verified_files(folder: Path) -> tuple[dict[str, bytes], dict[str, Any], str]:
    try:
        raw = (folder / MANIFEST).read_bytes()
        manifest = json.loads(raw)
        listed = {str(k): str(v["sha256"]) for k, v in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BundleError(
            f"no readable {MANIFEST} in {folder}",
            expected="a bundle folder, such as models/bundles/sample-2026-01-31.1",
            next_step="run `intentcast train`, or give another --bundle",
        ) from None
    if manifest.get("format") != FORMAT:
        raise BundleError(
            f"bundle format {str(manifest.get('format'))[:20]} in {folder.name}",
            expected=f"format {FORMAT}",
            next_step="train again with this version",
        )
    if manifest.get("sha256") != _own_digest(manifest):
        raise _damaged(folder, MANIFEST, "contents that do not match its checksum")
    files: dict[str, bytes] = {}
    for name, expected in sorted(listed.items()):
        path = folder / name
        if not _FILE_NAME.match(name) or path.is_symlink():
            raise _damaged(folder, name, "a name or link that a bundle cannot have")
        try:
            if path.stat().st_size > _LARGEST_FILE:
                raise _damaged(folder, name, "more than 512 MiB")
            files[name] = path.read_bytes()
        except OSError:
            raise _damaged(folder, name, "not there") from None
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise _damaged(folder, name, "contents that do not match its checksum")
    return files, manifest, hashlib.sha256(raw).hexdigest()


def _damaged(folder: Path, name: str, what: str) -> BundleError:
    return BundleError(
        f"{name[:80]} of {folder.name}: {what}",
        expected="every file as the manifest lists it",
        next_step="copy the bundle again, or use another",
    )


def _assemble(
    folder: Path, files: Mapping[str, bytes], manifest: dict[str, Any], digest: str
) -> Bundle:
    parts = {
        name: json.loads(data, parse_constant=_refuse_constant)
        for name, data in files.items()
        if name.endswith(".json")
    }
    spec = FeatureSpec.from_json(parts["features.json"])
    stored = parts["features.json"]["names"]
    if spec.names != stored or spec.hash != manifest["feature_hash"]:
        odd = sorted(set(spec.names) ^ set(stored))[:5]
        raise BundleError(
            f"{folder.name} has {len(stored)} features where this version computes "
            f"{len(spec.names)} (differing: {', '.join(odd) or 'their order'})",
            expected="the same features in the same order",
            next_step="train again with this version",
        )
    _same_major(folder, manifest)
    arrays = _arrays(files["themes.npz"])
    themes = ThemeModel(
        names=tuple(parts["themes.json"]["names"]),
        vocabulary=tuple(parts["themes.json"]["vocabulary"]),
        idf=arrays["idf"],
        centroids=arrays["centroids"],
        examples=tuple(tuple(titles) for titles in parts["themes.json"]["examples"]),
        owners=tuple(parts["themes.json"]["owners"]),
    )
    n_centroids = len(themes.owners) or len(themes.names)
    if not all(0 <= owner < len(themes.names) for owner in themes.owners):
        raise ValueError("themes.json has a centroid of no theme")
    same_shapes("themes.npz", themes.idf, (len(themes.vocabulary),))
    same_shapes("themes.npz", themes.centroids, (n_centroids, len(themes.vocabulary)))
    card = _scorecard(folder, files)
    learners = read_learners(
        files, parts, manifest["models"], n_features=len(spec.names), card=card
    )
    models: dict[int, HorizonModel] = {}
    for days, place in manifest["models"].items():
        calibrator = Calibrator.from_json(parts["calibration.json"][days])
        size = 3 if calibrator.kind == "beta" else 2
        same_shapes("calibration.json", calibrator.knots, calibrator.values.shape)
        same_shapes("calibration.json", calibrator.covariance, (size, size))
        models[int(days)] = HorizonModel(place["step"], int(days), learners[int(days)], calibrator)
    return Bundle(
        name=manifest["name"],
        version=manifest["version"],
        sha256=digest,
        created=manifest["created"],
        data_cutoff=manifest["data_cutoff"],
        featurizer=Featurizer(spec, themes),
        models=models,
        tiers=TierPolicy.from_json(parts["tiers.json"]),
        handoff=HandoffSettings.model_validate(parts["handoff.json"]),
        config=DatasetConfig.model_validate(parts["dataset.json"]),
        scorecard=card,
        golden=parts["golden.json"],
        manifest=manifest,
        settings=LearnerConfig.model_validate(parts["settings.json"])
        if "settings.json" in parts
        else None,
        accounts=AccountView.from_json(parts[ACCOUNT_VIEW]) if ACCOUNT_VIEW in parts else None,
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} where a number is expected")


def _arrays(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    import io
    import zipfile

    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except zipfile.BadZipFile:
        raise ValueError("themes.npz is not an npz file") from None


def _scorecard(folder: Path, files: Mapping[str, bytes]) -> Scorecard | None:
    if "scorecard.toml" not in files:
        return None
    try:
        raw = tomllib.loads(files["scorecard.toml"].decode())
        return parse_scorecard(raw, source="scorecard.toml")
    except IntentcastError as error:
        raise _damaged(folder, "scorecard.toml", error.found) from None


def _same_major(folder: Path, manifest: Mapping[str, Any]) -> None:
    made, here = manifest["libraries"]["lightgbm"], library_version("lightgbm")
    if made.split(".")[0] != here.split(".")[0]:
        raise BundleError(
            f"{folder.name} was made with LightGBM {made}",
            expected=f"the major version installed here, {here}",
            next_step="train again, or install that version",
        )
