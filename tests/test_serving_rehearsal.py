"""A bundle answers a whole request before it is served: no client waits for what it compiles."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from intentcast.scoring import load_bundle
from serving.models import BundleRefusedError, ServedModel
from serving.places import Place
from tests.fixtures_world import bundle_folder
from tests.serving_requests import request

_COUNTED = """
import gc, json, sys
from pathlib import Path
from fastapi.testclient import TestClient
from numba.core.registry import CPUDispatcher
from serving.app import create_app
from serving.settings import Settings

def compiled():
    return sum(len(x.signatures) for x in gc.get_objects() if isinstance(x, CPUDispatcher))

with TestClient(create_app(Settings(bundle=Path(sys.argv[1])))) as client:
    ready = compiled()
    answer = client.post("/v1/predictions", json=json.loads(sys.argv[2]))
    print(json.dumps([answer.status_code, ready, compiled()]))
"""


def test_the_first_request_compiles_nothing():
    command = [sys.executable, "-c", _COUNTED, str(bundle_folder("blend")), json.dumps(request())]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    status, ready, after = json.loads(done.stdout)
    assert status == 200
    assert ready > 20
    assert after == ready


def test_a_bundle_that_cannot_give_a_whole_answer_is_refused():
    folder = bundle_folder("logistic")

    def without_criteria(place):
        return replace(load_bundle(place), handoff=None)

    model = ServedModel(Place(bundle=folder), load=without_criteria)
    with pytest.raises(BundleRefusedError, match="could not be read"):
        model.reload()
    assert model.bundle is None
