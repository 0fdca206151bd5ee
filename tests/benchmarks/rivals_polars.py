"""The job in polars, as-of time by as-of time, in two spellings.

Both start with one frame of human events with small integers for names in order of lead, made once
(the order pays for itself). `wide` filters and groups by lead with one list of aggregations; `long`
groups by lead and group of events and puts what it finds into its place of the matrix. Each writes
one parquet file per as-of time.
"""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rivals_job import CODINGS, DAY_US, Feature, Job, micros

LN2 = float(np.log(2.0))
Floats = NDArray[np.float32]


def run(job: Job, data: Path, out: Path, *, way: str) -> None:
    """Compute the job from the data set in `data` and write the matrix to `out`."""
    leads = (
        pl.scan_parquet(data / "leads.parquet")
        .with_row_index("lead")
        .with_columns(
            pl.coalesce("account_id", pl.lit("lead:") + pl.col("lead_id"))
            .rank("dense")
            .cast(pl.UInt32)
            .alias("account")
        )
        .select("lead_id", "lead", "account")
        .collect()
    )
    events = _coded(job, data, leads)
    out.mkdir(parents=True, exist_ok=True)
    for moment in job.as_of:
        t = micros(moment)
        seen = events.lazy().filter(pl.col("k") < t)
        matrix = _wide(job, seen, leads, t) if way == "wide" else _long(job, seen, leads, t)
        as_of = pl.lit(moment).cast(pl.Datetime("us", "UTC")).alias("as_of")
        matrix.insert_column(0, leads["lead_id"]).select(
            "lead_id", as_of, pl.exclude("lead_id")
        ).write_parquet(
            out / f"{moment:%Y-%m-%d}.parquet", compression="uncompressed", statistics=False
        )


def _coded(job: Job, data: Path, leads: pl.DataFrame) -> pl.DataFrame:
    def code(column: str, coding: str) -> pl.Expr:
        number_of, n = job.subjects[coding]
        known = pl.col(column).replace_strict(number_of, default=n - 1, return_dtype=pl.Int8)
        return pl.when(pl.col(column).is_not_null()).then(known).alias(coding)

    known_at = pl.max_horizontal(pl.coalesce("recorded_at", "occurred_at"), "occurred_at")
    contents, _ = job.subjects["theme"]
    number = {title: i for i, title in enumerate(sorted(contents))}
    return (
        pl.scan_parquet(data / "events.parquet")
        .filter(~pl.col("is_machine").fill_null(value=False))
        .join(leads.lazy(), on="lead_id")
        .select(
            "lead",
            "account",
            "value",
            pl.col("occurred_at").dt.timestamp("us").alias("o"),
            known_at.dt.timestamp("us").alias("k"),
            code("event_type", "type"),
            code("channel", "channel"),
            code("content", "theme"),
            pl.col("content")
            .replace_strict(number, default=None, return_dtype=pl.Int16)
            .alias("content"),
            (pl.col("occurred_at").dt.timestamp("us") // DAY_US).cast(pl.Int32).alias("day"),
        )
        .sort("lead")
        .collect()
    )


def _weights(job: Job, t: int) -> list[pl.Expr]:
    age = pl.col("o") - t
    return [(age * (LN2 / (h * DAY_US))).exp().alias(f"w{i}") for i, h in enumerate(job.half_lives)]


def _is_inside(feature: Feature, t: int, column: str = "o") -> pl.Expr:
    return pl.col(column) >= t - round((feature.days or 0) * DAY_US)


def _finished(feature: Feature, t: int) -> pl.Expr:
    column = pl.col(feature.name)
    if feature.measure in ("days_since_last", "first_event"):
        column = (t - column) / DAY_US
    else:
        column = column.fill_null(0)
    return column.cast(pl.Float32).alias(feature.name)


def _wide(job: Job, seen: pl.LazyFrame, leads: pl.DataFrame, t: int) -> pl.DataFrame:
    """One aggregation per feature."""
    inside = [
        (pl.col("o") >= t - round(w * DAY_US)).alias(f"i{i}") for i, w in enumerate(job.windows)
    ]
    seen = seen.with_columns(*_weights(job, t), *inside)
    aggregations = []
    for feature in job.features:
        code = None if feature.code is None else pl.col(CODINGS[feature.family]) == feature.code
        if feature.measure == "recency_weighted":
            what = pl.col(f"w{job.half_lives.index(feature.days or 0)}")
            if feature.family == "value":
                what = what * pl.col("value")
            found = (what if code is None else what.filter(code)).sum()
        elif feature.measure == "count":
            what = pl.col(f"i{job.windows.index(feature.days or 0)}")
            found = (what if code is None else what & code).sum()
        elif feature.measure == "days_since_last":
            condition = pl.col("value").is_not_null() if feature.family == "value" else code
            what = pl.col("o")
            found = (what if condition is None else what.filter(condition)).max()
        elif feature.measure == "first_event":
            found = pl.col("k").min()
        else:
            continue
        aggregations.append(found.alias(feature.name))
    frames = [(seen.group_by("lead").agg(aggregations), "lead"), *_distinct(job, seen, t)]
    result = leads.lazy()
    for frame, key in frames:
        result = result.join(frame, on=key, how="left", maintain_order="left")
    return result.select(_finished(feature, t) for feature in job.features).collect()


def _distinct(job: Job, seen: pl.LazyFrame, t: int) -> list[tuple[pl.LazyFrame, str]]:
    """Distinct keys per window: one row per key first, with its latest occurrence."""
    frames = []
    for measure, key, entity in (
        ("active_days", "day", "lead"),
        ("distinct_content", "content", "lead"),
        ("people_engaged", "lead", "account"),
    ):
        if features := job.of(measure):
            latest = (
                seen.filter(pl.col(key).is_not_null())
                .group_by(entity, key)
                .agg(pl.col("o").max().alias("latest"))
            )
            counts = [_is_inside(f, t, "latest").sum().alias(f.name) for f in features]
            frames.append((latest.group_by(entity).agg(counts), entity))
    return frames


def _long(job: Job, seen: pl.LazyFrame, leads: pl.DataFrame, t: int) -> pl.DataFrame:
    """Aggregate per lead and group; put the found cells into the matrix by their numbers."""
    seen = seen.with_columns(_weights(job, t))
    n, place = len(leads), {feature.name: i for i, feature in enumerate(job.features)}
    matrix = np.zeros((len(place), n), dtype=np.float32)
    for feature in job.features:
        if feature.measure in ("days_since_last", "first_event"):
            matrix[place[feature.name]] = np.nan
    sums = [pl.col(f"w{i}").sum().alias(f"s{i}") for i in range(len(job.half_lives))]
    counts = [
        (pl.col("o") >= t - round(w * DAY_US)).sum().alias(f"c{i}")
        for i, w in enumerate(job.windows)
    ]
    own = [*sums, *counts, pl.col("o").max().alias("latest")]
    whole = [
        *((pl.col(f"w{i}") * pl.col("value")).sum().alias(f"v{i}") for i in range(len(sums))),
        pl.col("o").filter(pl.col("value").is_not_null()).max().alias("vlatest"),
        pl.col("k").min().alias("first"),
    ]
    # One plan, so that polars reads the events once for all of them and shares what it can.
    queries = [seen.group_by("lead").agg(*own, *whole)]
    queries += [
        seen.filter(pl.col(coding).is_not_null()).group_by("lead", coding).agg(own)
        for coding in CODINGS.values()
    ]
    distinct = _distinct(job, seen, t)
    found = pl.collect_all([*queries, *(frame for frame, _ in distinct)])
    of_code = {
        coding: frame.partition_by(coding, as_dict=True)
        for coding, frame in zip(CODINGS.values(), found[1 : len(queries)], strict=True)
    }
    for feature in job.features:
        column = _column_of(job, feature)
        frame: pl.DataFrame | None = found[0]
        if coding := CODINGS.get(feature.family):
            frame = of_code[coding].get((feature.code,))
        if column and frame is not None:
            cell = frame[column].to_numpy()
            if feature.measure in ("days_since_last", "first_event"):
                cell = (t - cell) / DAY_US
            matrix[place[feature.name], frame["lead"].to_numpy()] = cell
    account = leads["account"].to_numpy()
    for frame, (_, entity) in zip(found[len(queries) :], distinct, strict=True):
        for name in frame.columns[1:]:
            by_entity = np.zeros(max(n, int(account.max()) + 1), dtype=np.float32)
            by_entity[frame[entity].to_numpy()] = frame[name].to_numpy()
            matrix[place[name]] = by_entity[account] if entity == "account" else by_entity[:n]
    return pl.DataFrame({name: matrix[i] for name, i in place.items()})


def _column_of(job: Job, feature: Feature) -> str | None:
    prefix = "v" if feature.family == "value" else ""
    if feature.measure == "recency_weighted":
        return f"{prefix or 's'}{job.half_lives.index(feature.days or 0)}"
    if feature.measure == "count":
        return f"c{job.windows.index(feature.days or 0)}"
    if feature.measure == "days_since_last":
        return f"{prefix}latest"
    return "first" if feature.measure == "first_event" else None
