"""The model as MLflow loads it: from this file's code and a bundle, without a pickle.

`registry` logs this file beside the bundle (MLflow's "models from code"); nothing in the package
imports it. `mlflow models serve -m MODEL --env-manager local` and `mlflow.pyfunc.load_model(MODEL)`
run it.

In: a table with the column `request`: each a body of `POST /v1/predictions` as JSON text, which
must state its `as_of`. Out: a list of answers, one per row, as that endpoint gives them, to the
bit.
"""

import json
from pathlib import Path
from typing import Any

import mlflow

from intentcast.histories import history_from_json
from intentcast.scoring import answer_history, load_bundle


class BundleModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Answers by the one path that the server and the command line take."""

    def load_context(self, context: Any) -> None:
        """Read the bundle: checksums, structure, golden rows."""
        self.bundle = load_bundle(Path(context.artifacts["bundle"]))

    # Without types: MLflow would take them for a schema, and the one it has is the logged one.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # noqa: ARG002
        """Return one answer per row.

        Raises:
            ValueError: If a row is no request; it names the row, never its values.
        """
        requests = model_input["request"]
        return [self._answer(row, text) for row, text in enumerate(requests)]

    def _answer(self, row: int, text: str) -> dict[str, Any]:
        try:
            body = json.loads(text, parse_constant=_refuse)
            history = history_from_json(body)
            explain = body.get("explain", True) is True
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise ValueError(
                f"row {row} is no body of POST /v1/predictions ({type(error).__name__})"
            ) from None
        return answer_history(self.bundle, history, explain=explain)


def _refuse(_: str) -> None:
    raise ValueError("not a number")


mlflow.models.set_model(BundleModel())
