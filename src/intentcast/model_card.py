"""The model card: what a bundle predicts, from what, how well and for whom not, from its own files.

Nothing is written here by hand for one model: whoever changes a setting changes the card.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from intentcast.evaluation.report import state_verdict
from intentcast.features import FeatureSpec

FILE = "model_card.md"
_PARTS = ("dataset.json", "metrics.json", "features.json", "themes.json", "tiers.json")
_MAPS = {
    "none": "left as they are: no map helped out of sample",
    "level": "another level for all",
    "platt": "Platt's map",
    "beta": "beta map",
    "isotonic": "isotonic map",
}
_JUDGED = {
    "later slice": "the last part of the training time, by a learner that had not seen it",
    "account folds": "accounts held back in turn, since there was too little for a later slice",
    "all rows": "the training snapshots themselves: there were too few to hold any back",
}


def model_card(
    fields: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    backtest: Mapping[str, Any] | None = None,
) -> str:
    """Return the card as Markdown.

    Args:
        fields: Of the manifest: `data_cutoff`, `n_snapshots`, `n_converted`, …; where it has
            `version` and `created`, the card names them.
        files: The bundle's parts by file name; those of settings, metrics, features, themes and
            tiers are read.
        backtest: `report.json` of the same data and settings; its figures are added.
    """
    parts = {name: json.loads(files[name]) for name in _PARTS}
    blocks = (
        _head(fields, parts),
        _learnt(fields, parts),
        _recalibrated(fields),
        _judged(parts),
        _backtested(backtest) if backtest else (),
        _uses(parts),
        _limits(parts),
    )
    return "\n\n".join("\n".join(block) for block in map(tuple, blocks) if block) + "\n"


def bundle_card(folder: Path, *, backtest: Mapping[str, Any] | None = None) -> str:
    """Return the card of a bundle that has been written, with a backtest's figures if given."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    return model_card(
        manifest, {name: (folder / name).read_bytes() for name in _PARTS}, backtest=backtest
    )


def _head(fields: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterator[str]:
    config = parts["dataset.json"]
    conversion = config["conversion"]
    days = ", ".join(map(str, conversion["horizons_days"]))
    yield f"# Model card: {config['name']}"
    yield ""
    yield (
        f"Predicts the probability that a lead reaches {' or '.join(conversion['outcomes'])} "
        f"within {days} days of an as-of time"
        + ("; a lead can convert again." if conversion["recurring"] else ".")
    )
    if closing := conversion["closing"]:
        yield f"A lead that reached {' or '.join(closing)} is at risk no longer."
    if "version" in fields:
        yield ""
        yield f"Version {fields['version']}, written {_minute(fields['created'])} UTC."


def _learnt(fields: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterator[str]:
    config, metrics, tiers = (parts[f"{name}.json"] for name in ("dataset", "metrics", "tiers"))
    cohort, primary = config["cohort"], fields["primary_horizon_days"]
    rule = {
        "engaged": f"leads with an event in the last {cohort['within_days']} days",
        "created": f"leads created in the last {cohort['within_days']} days",
        "open": "every lead that is not closed",
    }[cohort["rule"]]
    themes = parts["themes.json"]["names"]
    yield "## What it learnt from"
    yield ""
    yield "| what | value |"
    yield "| --- | --- |"
    known_by = fields.get("learner_cutoff", fields["data_cutoff"])
    yield f"| learnt from what was known before | {_minute(known_by)} UTC |"
    yield f"| cohort | {rule}, every {cohort['every_days']} days |"
    yield f"| training snapshots | {fields['n_snapshots']:,} |"
    yield f"| of them converted within {primary} days | {fields['n_converted']:,} |"
    yield f"| features | {fields['n_features']} ({_families(parts['features.json'])}) |"
    yield f"| themes | {', '.join(themes) or 'none'} |"
    core = [name for name in config["themes"]["core"] if name in themes]
    yield f"| core themes | {', '.join(core) or 'none'} |"
    yield f"| hot from | {tiers['hot']:.4f} ({tiers['handoffs_per_week']} hand-offs a week) |"
    yield f"| warm from | {tiers['warm']:.4f} |"
    if accepted := metrics.get("accepted_leaks"):
        yield f"| leaks accepted by name | {', '.join(accepted)} |"


def _recalibrated(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is newer than the learner, of a bundle that `recalibrate` wrote."""
    if "recalibrated_from" not in fields:
        return
    yield "## Recalibrated"
    yield ""
    yield (
        f"Only the calibration is newer than the learner, which is that of "
        f"{fields['recalibrated_from']['version']}: fitted on what was known before "
        f"{_minute(fields['data_cutoff'])} UTC. Thresholds of tiers moved along with the "
        "probabilities. The figures further down are those of the training, before it."
    )
    yield ""
    yield (
        "| horizon | snapshots | converted | map | log loss before | after | mean probability "
        "before | after | share converted |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for days, row in fields["recalibrated_on"].items():
        before, after = row["before"], row["after"]
        yield (
            f"| {days} d | {row['n']:,}, {row['first']} to {row['last']} "
            f"| {row['n_converted']:,} | {_MAPS[row['calibration']]} "
            f"| {_three(before['log_loss'])} | {_three(after['log_loss'])} "
            f"| {_three(before['mean_probability'])} | {_three(after['mean_probability'])} "
            f"| {_three(after['share_converted'])} |"
        )


def _families(raw: dict[str, Any]) -> str:
    columns = FeatureSpec.from_json(raw).columns
    counts = Counter(column.family for column in columns)
    return ", ".join(f"{name} {n}" for name, n in counts.most_common())


def _judged(parts: Mapping[str, Any]) -> Iterator[str]:
    metrics = parts["metrics.json"]
    rows = metrics["horizons"]
    kinds = sorted({row["judged_on"] for row in rows.values()})
    yield "## How well, out of sample"
    yield ""
    yield f"Step: **{metrics['step']}**. {metrics['reason']}."
    yield ""
    yield "Judged on " + "; ".join(_JUDGED[kind] for kind in kinds) + "."
    yield ""
    yield (
        "| horizon | base rate | log loss | AUC | average precision | Brier skill | calibration "
        "| conversions it rests on |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for days, row in rows.items():
        yield (
            f"| {days} d | {row['base_rate']:.4f} | {row['log_loss']:.4f} | {_three(row['auc'])} "
            f"| {_three(row['average_precision'])} | {_three(row['brier_skill'])} "
            f"| {_MAPS[row['calibration']]} | {row['n_slice_converted']:,} of "
            f"{row['n_slice']:,} |"
        )


def _backtested(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the same settings did in test windows that came after their training."""
    found = report["contenders"]["champion"]
    days = report["primary_horizon_days"]
    yield "## Backtest"
    yield ""
    n_windows = len(report["folds"])
    yield (
        f"Rolling origin, {n_windows} test window{'' if n_windows == 1 else 's'}, "
        f"{report['n_snapshots']:,} snapshots of {report['n_leads']:,} leads, "
        f"{report['n_converted']:,} converted within {days} days. "
        f"{state_verdict(report).sentence}"
    )
    yield ""
    yield "| what | value |"
    yield "| --- | --- |"
    for key, words in (
        ("auc", "AUC"),
        ("average_precision", "average precision"),
        ("log_loss", "log loss"),
        ("brier", "Brier"),
        ("brier_skill", "Brier skill against the base rate"),
        ("calibration_slope", "calibration slope (ideal 1)"),
        ("mean_probability", "mean probability"),
    ):
        yield f"| {words} | {_three(found.get(key))} |"
    yield f"| base rate | {_three(report['base_rate'])} |"


def _uses(parts: Mapping[str, Any]) -> Iterator[str]:
    per_week = parts["tiers.json"]["handoffs_per_week"]
    yield "## Intended use"
    yield ""
    yield (
        f"To order the leads of the cohort for a sales team that takes {per_week} a week, and to "
        "say how likely each one is. Not to decide about a person: the score is about buying, and "
        "knows nothing but engagement, account and the attributes named above."
    )


def _limits(parts: Mapping[str, Any]) -> Iterator[str]:
    config = parts["dataset.json"]
    attributes = [*config["attributes"]["numeric"], *config["attributes"]["categorical"]]
    yield "## Limits: who may be misled"
    yield ""
    yield (
        "- The intervals say how well the level of a probability is known, not how one lead will "
        "act; they take accounts as independent."
    )
    yield (
        "- Leads outside the cohort rule were not learnt from: for them a probability is an "
        "extrapolation."
    )
    yield (
        "- The probability describes leads as sales has treated them so far. Where sales follows "
        "the score, the next training learns from leads that the score chose."
    )
    yield (
        "- Event types, channels, themes and levels that training did not see count as `other`; "
        "the answer warns of them."
    )
    yield (
        "- Whoever is watched less (blocked tracking, few mailings, a new source) looks less "
        "interested than he is."
    )
    if attributes:
        yield (
            f"- {', '.join(attributes)} may stand for what should not decide: compare the segments "
            "in the backtest's report."
        )


def _minute(instant: str) -> str:
    return instant[:16].replace("T", " ")


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
