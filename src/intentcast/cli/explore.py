"""`intentcast explore`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intentcast.cli.console import (
    AsJson,
    DataFolder,
    handoff_settings,
    open_dataset,
    percent,
    progress,
    show,
)

if TYPE_CHECKING:
    import polars as pl

    from intentcast.handoff import OptOut
    from intentcast.sources import Dataset

NAME = "explore"
HELP = (
    "Draw a few leads below the hot threshold at random, so that the next model learns of them.\n\n"
    "Appends the drawn leads to a log with the chance that each had; a second run in the same week "
    "adds nothing. Leads that opted out, were accepted or sent back lately are never drawn.\n\n"
    "Example: intentcast explore data/sample --scores scores.parquet --per-week 5"
)


def run(
    folder: DataFolder,
    scores: Annotated[
        Path, typer.Option(metavar="FILE", help="What `intentcast score` wrote.")
    ] = Path("scores.parquet"),
    per_week: Annotated[
        int, typer.Option("--per-week", metavar="N", min=0, help="Leads a week; without it none.")
    ] = 0,
    log: Annotated[
        Path, typer.Option(metavar="FILE", help="The log, a .parquet file; it only grows.")
    ] = Path("exploration.parquet"),
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of the draw.")] = 7,
    uniform_share: Annotated[
        float,
        typer.Option(
            metavar="U",
            min=0.05,
            max=1,
            help="Share of the draw that is the same for all; the rest goes by probability.",
        ),
    ] = 0.5,
    opt_out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE",
            help="Event type by which leads opt out; without it those of the hand-off and the "
            "points tables.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw, append, print."""
    import polars as pl

    from intentcast.cli.tables import read_frame, write_frame
    from intentcast.exploration import LOG_SCHEMA, draw, eligible

    scored = read_frame(scores)
    before = read_log(log)
    with progress() as say:
        dataset = open_dataset(folder, say)
        told = at_horizon(scored, dataset.config.conversion.primary_horizon_days)
        settings = handoff_settings().criteria.opt_out
        leaving = tuple(opt_out) if opt_out else opt_out_types(dataset, settings)
        candidates = eligible(told, dataset, opt_out=leaving, revoked_by=settings.revoked_by)
        drawn = draw(
            candidates,
            before,
            per_week=per_week,
            seed=seed,
            uniform_share=uniform_share,
            pause_days=max(7, dataset.config.sales.renurture_days),
        )
        if len(drawn):
            write_frame(pl.concat([before, drawn]).select(LOG_SCHEMA.names()), log)
    if as_json:
        show(
            {
                "log": str(log),
                "n_eligible": len(candidates),
                "n_drawn": len(drawn),
                "n_logged": len(before) + len(drawn),
                "opt_out": list(leaving),
                "revoked_by": list(settings.revoked_by),
                "drawn": drawn.with_columns(
                    pl.col("as_of").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
                ).to_dicts(),
            }
        )
        return
    print("\n".join(in_words(drawn, n_below=len(told), n_eligible=len(candidates))))
    print(f"{log}: {len(before) + len(drawn):,} leads since it began")


def at_horizon(scores: "pl.DataFrame", days: int) -> "pl.DataFrame":
    """Return one row per lead: the scores at the horizon that tiers are about.

    Raises:
        InputError: If a column or the horizon is missing.
    """
    import polars as pl

    from intentcast.errors import InputError

    wanted = ("lead_id", "as_of", "horizon_days", "probability", "tier", "model_version")
    if missing := [name for name in wanted if name not in scores.columns]:
        raise InputError(
            f"scores without {', '.join(missing)}",
            expected=f"columns {', '.join(wanted)}",
            next_step="give the file that `intentcast score` wrote",
        )
    found = scores.filter(pl.col("horizon_days") == days)
    if found.is_empty():
        raise InputError(
            f"no scores at {days} days",
            expected="the data set's primary horizon",
            next_step="score this data set with a bundle trained on it",
        )
    return found


def read_log(path: Path) -> "pl.DataFrame":
    """Read the log; one that is not there yet is empty.

    Raises:
        InputError: If it is something else.
    """
    from intentcast.cli.tables import read_frame
    from intentcast.errors import InputError
    from intentcast.exploration import LOG_SCHEMA

    if path.suffix != ".parquet":
        raise InputError(f"--log {path}", expected="a .parquet file", next_step="name it so")
    if not path.exists():
        return LOG_SCHEMA.to_frame()
    found = read_frame(path)
    if found.schema != LOG_SCHEMA:
        raise InputError(
            f"{path} with columns {', '.join(found.columns)[:120]}",
            expected="a log that `intentcast explore` wrote",
            next_step="give another --log; nothing was changed",
        )
    return found


def opt_out_types(dataset: "Dataset", settings: "OptOut") -> tuple[str, ...]:
    """Return the event types by which leads opt out: the hand-off's and the points tables'.

    Raises:
        RefusedError: If the data have none of them: opting out may have another name there.
    """
    from intentcast.errors import RefusedError
    from intentcast.scorecards import dataset_scorecards, read_scorecard

    named = set(settings.event_types)
    for path in dataset_scorecards(dataset):
        named.update(read_scorecard(path).opt_out)
    found = sorted(named)
    if not dataset.events["event_type"].is_in(found).any():
        raise RefusedError(
            f"no event of the types {', '.join(found)}, by which leads opt out",
            expected="to know who opted out, so that none of them is drawn",
            next_step="name the event types with --opt-out, even if none has occurred yet",
        )
    return tuple(found)


def in_words(drawn: "pl.DataFrame", *, n_below: int, n_eligible: int) -> list[str]:
    """Return who was drawn, in at most 80 columns."""
    lines = [f"{n_eligible:,} of {n_below:,} scored leads are below hot and may be drawn."]
    if drawn.is_empty():
        return [*lines, "None was drawn: no --per-week, or this week's leads are drawn already."]
    lines.append(f"Drawn at random, {drawn['as_of'][0]:%Y-%m-%d}; hand these over as well:")
    lines.append(f"  {'lead':<28}{'tier':<6}{'probability':>12}{'chance':>9}{'stands for':>12}")
    lines += [
        f"  {row['lead_id'][:27]:<28}{row['tier']:<6}{percent(row['probability']):>12}"
        f"{percent(row['inclusion_probability']):>9}{1 / row['inclusion_probability']:>12.0f}"
        for row in drawn.iter_rows(named=True)
    ]
    return lines
