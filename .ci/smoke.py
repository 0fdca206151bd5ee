"""Start the server on a bundle, ask it for one prediction, stop it; exit 1 if anything is off."""

import json
import sys
from pathlib import Path

from intentcast.cli.demo import ask, running_server


def main() -> None:
    """Run the smoke test."""
    bundle = Path(sys.argv[1])
    golden = json.loads((bundle / "golden.json").read_text())[-1]
    with running_server(bundle) as address:
        answer = ask(f"{address}/v1/predictions", golden["request"])
    found = [row["probability"] for row in answer["probabilities"]]
    if found != golden["probabilities"]:
        sys.exit(f"the server gave {found}, the bundle expects {golden['probabilities']}")
    print(f"probabilities {found}: as the bundle expects")


if __name__ == "__main__":
    main()
