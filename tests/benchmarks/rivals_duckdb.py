"""The job in DuckDB: SQL per as-of time in three spellings, and over all as-of times at once.

Every way starts with one table of human events with small integers for names in order of
lead, made once (the order pays for itself). `wide` then says each feature as a filtered aggregate
per lead; `long` aggregates per lead and group and turns the groups into columns by joins; `set` is
`long` over all as-of times in one query.
Each writes one parquet file per as-of time (`set`: one file).
"""

from pathlib import Path

import duckdb
from rivals_job import CODINGS, DAY_US, Feature, Job, micros

LN2 = "0.6931471805599453"
# All as-of times at once would take all there is; beyond this DuckDB spills to disk.
MEMORY = "8GB"


def run(job: Job, data: Path, out: Path, *, way: str, threads: int) -> None:
    """Compute the job from the data set in `data` and write the matrix to `out`."""
    config = {"threads": threads, "memory_limit": MEMORY}
    connection = duckdb.connect(config=config)
    connection.execute("SET preserve_insertion_order = false")
    connection.execute(f"SET temp_directory = '{out / 'spill'}'")
    for statement in prepare(job, data):
        connection.execute(statement)
    out.mkdir(parents=True, exist_ok=True)
    if way == "set":
        moments = ", ".join(f"({micros(moment)})" for moment in job.as_of)
        connection.execute(f"CREATE TABLE cutoff AS SELECT * FROM (VALUES {moments}) AS v(t)")
        connection.execute(_copy(query(job, way, "t"), out / "all.parquet"))
        return
    for moment in job.as_of:
        t = micros(moment)
        connection.execute(_copy(query(job, way, str(t)), out / f"{moment:%Y-%m-%d}.parquet"))


def _copy(select: str, path: Path) -> str:
    return f"COPY ({select}) TO '{path}' (FORMAT parquet, COMPRESSION uncompressed)"


def prepare(job: Job, data: Path) -> list[str]:
    """Return the statements that make `lead` and the coded `e` (events)."""
    coded = []
    for coding, column in (("type", "event_type"), ("channel", "channel"), ("theme", "content")):
        number_of, n = job.subjects[coding]
        branches = ", ".join(f"'{value}': {number}" for value, number in sorted(number_of.items()))
        number = f"coalesce(MAP {{{branches}}}[{column}], {n - 1})" if number_of else str(n - 1)
        known = (
            f"CREATE TABLE {coding}_of AS SELECT {column} AS raw, {number}::TINYINT AS code FROM "
        )
        coded.append(
            f"{known} (SELECT DISTINCT {column} FROM read_parquet('{data}/events.parquet') "
            f"WHERE {column} IS NOT NULL)"
        )
    events = f"""
        CREATE TABLE e AS
        SELECT number AS lead, account, epoch_us(occurred_at) AS o,
               epoch_us(greatest(coalesce(recorded_at, occurred_at), occurred_at)) AS k,
               type_of.code AS type, channel_of.code AS channel, title.code AS theme,
               value, number_of_content,
               (epoch_us(occurred_at) // {DAY_US})::INTEGER AS day
        FROM read_parquet('{data}/events.parquet')
        JOIN lead USING (lead_id)
        JOIN type_of ON event_type = type_of.raw
        LEFT JOIN channel_of ON channel = channel_of.raw
        LEFT JOIN (SELECT *, (row_number() OVER ())::SMALLINT AS number_of_content FROM theme_of)
             AS title ON content = title.raw
        WHERE NOT coalesce(is_machine, false)
        ORDER BY lead"""
    leads = f"""
        CREATE TABLE lead AS
        SELECT lead_id, (row_number() OVER ())::INTEGER AS number,
               (dense_rank() OVER (ORDER BY coalesce(account_id, 'lead:' || lead_id)))::INTEGER
               AS account
        FROM read_parquet('{data}/leads.parquet')"""
    return [leads, *coded, events]


def query(job: Job, way: str, t: str) -> str:
    """Return the query of the matrix at one as-of time, or (`way` is `set`) at all."""
    by = "lead, t" if way == "set" else "lead"
    source = "e JOIN cutoff ON e.k < t" if way == "set" else f"e WHERE k < {t}"
    weights = [f"exp((o - {t}) * ({LN2} / {h * DAY_US})) AS w{i}" for i, h in _enumerated(job)]
    ctes = [f"s AS (SELECT *, {', '.join(weights)} FROM {source})"]
    everyone = "(SELECT number AS lead, lead_id, account FROM lead) AS everyone"
    if way == "set":
        everyone = "(SELECT number AS lead, lead_id, account, t FROM lead, cutoff) AS everyone"
    joins = [f"LEFT JOIN own USING ({by})"]
    if way == "wide":
        ctes += _wide(job, t)
    else:
        ctes += _long(job, t, by)
        joins += _joins(job, by)
    distinct = _distinct(job, t, by)
    ctes += distinct.values()
    joins += [
        f"LEFT JOIN {table} USING ({by.replace('lead', 'account') if table == 'people' else by})"
        for table in distinct
    ]
    find = _found_wide if way == "wide" else _found_long
    columns = ", ".join(_output(feature, find(job, feature), t) for feature in job.features)
    at = "everyone.t" if way == "set" else t
    return (
        f"WITH {', '.join(ctes)} SELECT lead_id, make_timestamptz({at}) AS as_of, {columns} "
        f"FROM {everyone} {' '.join(joins)}"
    )


def _enumerated(job: Job) -> list[tuple[int, float]]:
    return list(enumerate(job.half_lives))


def _quoted(feature: Feature) -> str:
    return f'"{feature.name}"'


def _output(feature: Feature, found: str, t: str) -> str:
    name = _quoted(feature)
    if feature.measure in ("days_since_last", "first_event"):
        return f"(({t} - {found}) / {DAY_US}.0)::FLOAT AS {name}"
    return f"coalesce({found}, 0)::FLOAT AS {name}"


def _found_wide(_: Job, feature: Feature) -> str:
    return _quoted(feature)


def _found_long(job: Job, feature: Feature) -> str:
    """Where `_long` and `_distinct` left a feature: a table and its column."""
    table = "own" if feature.code is None else f"{CODINGS[feature.family]}_{feature.code}"
    prefix = "v" if feature.family == "value" else ""
    if feature.measure == "recency_weighted":
        return f"{table}.{prefix or 's'}{job.half_lives.index(feature.days or 0)}"
    if feature.measure == "count":
        return f"{table}.c{job.windows.index(feature.days or 0)}"
    if feature.measure == "days_since_last":
        return f"{table}.{prefix}latest"
    return "own.first" if feature.measure == "first_event" else _quoted(feature)


def _wide(job: Job, t: str) -> list[str]:
    """One filtered aggregate per feature."""
    found = []
    for feature in job.features:
        conditions = []
        if feature.code is not None:
            conditions.append(f"{CODINGS[feature.family]} = {feature.code}")
        if feature.family == "value":
            conditions.append("value IS NOT NULL")
        if feature.measure == "recency_weighted":
            weight = f"w{job.half_lives.index(feature.days or 0)}"
            what = f"sum({weight} * value)" if feature.family == "value" else f"sum({weight})"
        elif feature.measure == "count":
            what = "count(*)"
            conditions.append(f"o >= {t} - {_us(feature)}")
        elif feature.measure == "days_since_last":
            what = "max(o)"
        elif feature.measure == "first_event":
            what = "min(k)"
        else:
            continue
        condition = f" FILTER ({' AND '.join(conditions)})" if conditions else ""
        found.append(f"{what}{condition} AS {_quoted(feature)}")
    return [f"own AS (SELECT lead, {', '.join(found)} FROM s GROUP BY lead)"]


def _us(feature: Feature) -> int:
    return round((feature.days or 0) * DAY_US)


def _long(job: Job, t: str, by: str) -> list[str]:
    """Aggregate per lead and group; what holds for all events is then gathered from the types."""
    sums = [f"s{i}" for i, _ in _enumerated(job)]
    counts = [f"c{i}" for i, _ in enumerate(job.windows)]
    values = [f"v{i}" for i, _ in _enumerated(job)]
    inner = [f"sum(w{i}) AS {name}" for i, name in enumerate(sums)]
    inner += [
        f"count(CASE WHEN o >= {t} - {round(days * DAY_US)} THEN 1 END) AS {name}"
        for name, days in zip(counts, job.windows, strict=True)
    ]
    inner.append("max(o) AS latest")
    whole = [f"sum(w{i} * value) AS {name}" for i, name in enumerate(values)]
    whole += ["max(CASE WHEN value IS NOT NULL THEN o END) AS vlatest", "min(k) AS first"]
    ctes = [
        f"l_{coding} AS MATERIALIZED (SELECT {by}, {coding} AS code, "
        f"{', '.join(inner + whole if coding == 'type' else inner)} FROM s "
        f"WHERE {coding} IS NOT NULL GROUP BY {by}, {coding})"
        for coding in CODINGS.values()
    ]
    own = [f"sum({name}) AS {name}" for name in (*sums, *counts, *values)]
    own += ["max(latest) AS latest", "max(vlatest) AS vlatest", "min(first) AS first"]
    return [*ctes, f"own AS (SELECT {by}, {', '.join(own)} FROM l_type GROUP BY {by})"]


def _joins(job: Job, by: str) -> list[str]:
    """Turn groups into columns: a join per group is several times quicker here than a pivot."""
    wanted = {(CODINGS[f.family], f.code) for f in job.features if f.code is not None}
    return [
        f"LEFT JOIN (SELECT * FROM l_{coding} WHERE code = {code}) AS {coding}_{code} USING ({by})"
        for coding, code in sorted(wanted)
    ]


def _distinct(job: Job, t: str, by: str) -> dict[str, str]:
    """Distinct keys per window: one row per key first, with its latest occurrence."""
    ctes = {}
    measures = {
        "active_days": ("days", "day", by),
        "distinct_content": ("contents", "number_of_content", by),
        "people_engaged": ("people", "lead", by.replace("lead", "account")),
    }
    for measure, (table, key, entity) in measures.items():
        features = job.of(measure)
        if not features:
            continue
        counts = ", ".join(
            f"count(*) FILTER (latest >= {t} - {_us(feature)}) AS {_quoted(feature)}"
            for feature in features
        )
        ctes[table] = (
            f"{table} AS (SELECT {entity}, {counts} FROM "
            f"(SELECT {entity}, {key}, max(o) AS latest FROM s WHERE {key} IS NOT NULL "
            f"GROUP BY {entity}, {key}) GROUP BY {entity})"
        )
    return ctes
