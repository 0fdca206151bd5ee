"""What a data set holds: tables, what was set aside, cohort, base rates, and the data plan."""

from typing import Any

from intentcast.config import LearnerConfig
from intentcast.evaluation.planner import HorizonPlan, plan_data
from intentcast.labels import label_snapshots
from intentcast.scorecards import dataset_scorecards
from intentcast.snapshots import as_of_times, build_snapshots, cohort_span
from intentcast.sources import Dataset


def survey(
    dataset: Dataset, config: LearnerConfig
) -> tuple[dict[str, Any], tuple[HorizonPlan, ...]]:
    """Return what `check` says of tables, cohort and labels as JSON values, and the data plan."""
    span = cohort_span(dataset)
    times = as_of_times(span, dataset.config.cohort.every_days)
    snapshots = build_snapshots(dataset, times) if times else None
    horizons = []
    labels = {}
    for days in dataset.config.conversion.horizons_days:
        if snapshots is None:
            break
        label = label_snapshots(snapshots, dataset, horizon_days=days, known_by=dataset.data_cutoff)
        labels[days] = label
        mature = label.drop_nulls()
        converted = snapshots.filter(label.fill_null(value=False))
        horizons.append(
            {
                "horizon_days": days,
                "n_snapshots": len(snapshots),
                "n_mature": len(mature),
                "n_converted": int(mature.sum()),
                "n_converting_leads": converted["lead_id"].n_unique(),
                "base_rate": float(mature.mean()) if len(mature) else None,  # type: ignore[arg-type]
            }
        )
    attributes = dataset.config.attributes
    wanted = [*attributes.numeric, *attributes.categorical]
    dated = set(dataset.attribute_changes["attribute"].unique().to_list())
    plans = plan_data(snapshots, labels, dataset, config) if snapshots is not None else ()
    found = {
        "dataset": dataset.config.name,
        "data_cutoff": dataset.data_cutoff.isoformat(),
        "tables": [
            {
                "table": bad.table,
                "n_rows": bad.n_rows,
                "n_set_aside": len(bad.rows),
                "n_duplicates": bad.n_duplicates,
                "rules": bad.rule_counts(),
            }
            for bad in dataset.quarantined
        ],
        "cohort": {
            "rule": dataset.config.cohort.rule,
            "within_days": dataset.config.cohort.within_days,
            "from": span.start.isoformat(),
            "to": span.end.isoformat(),
            "is_stated": span.is_stated,
            "n_times": len(times),
            "n_leads": snapshots["lead_id"].n_unique() if snapshots is not None else 0,
            "leads_per_time": len(snapshots) / len(times) if snapshots is not None else 0,
        },
        "horizons": horizons,
        "event_types": dict(
            dataset.events["event_type"].value_counts(sort=True).head(40).iter_rows()
        ),
        "attributes_taken_as_constant": [name for name in wanted if name not in dated],
        "scorecards": [path.stem for path in dataset_scorecards(dataset)],
    }
    return found, plans
