"""`intentcast calibrate`."""

import math
import textwrap
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intentcast.cli.bundles import BundleFolder, open_bundle, refuse_strange
from intentcast.cli.console import (
    AsJson,
    AsOf,
    DataFolder,
    Settings,
    instant,
    learner_settings,
    open_dataset,
    percent,
    progress,
    show,
)
from intentcast.errors import InputError

if TYPE_CHECKING:
    from intentcast.bundle import Bundle
    from intentcast.sources import Dataset
    from intentcast.thresholds.choose import Ask
    from intentcast.thresholds.churn import Churn
    from intentcast.thresholds.policy import Policy
    from intentcast.tiers import TierPolicy

NAME = "calibrate"
HELP = (
    "Set the tiers' thresholds from closed-won data, with bands on what they will bring.\n\n"
    "The champion is refitted before each test window, as in the backtest; thresholds are set on "
    "its predictions that have matured. Give one of --per-week, --precision and --value. Writes a "
    "policy file, which `score` and `serve` use with --policy, and beside it the curve of volume "
    "against precision and conversions (.svg).\n\n"
    "Refuses (exit code 3) where there are too few conversions, where tiers cannot be told apart, "
    "and where more leads than --max-churn would change tier by the new thresholds alone.\n\n"
    "Example: intentcast calibrate data/sample --per-week 10 --out policy.json"
)

_BAND = ("past", "estimate", "low", "high")
_MOST_CHURN = 0.2


def run(
    folder: DataFolder,
    bundle: BundleFolder = None,
    per_week: Annotated[
        float | None,
        typer.Option("--per-week", min=0.01, help="Hand-offs that sales can take on in a week."),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(min=0.0001, max=1, help="Share of hand-offs that should convert."),
    ] = None,
    value: Annotated[
        bool,
        typer.Option("--value", help="Hand over where probability times value covers the cost."),
    ] = False,
    deal_value: Annotated[
        str,
        typer.Option(
            metavar="X", help="With --value: a number, or mean or median of the won amounts."
        ),
    ] = "mean",
    cost: Annotated[
        float | None,
        typer.Option("--cost-per-handoff", min=0, help="With --value: what a hand-off costs."),
    ] = None,
    weeks: Annotated[
        int, typer.Option(min=1, max=104, help="Weeks ahead that the bands are for.")
    ] = 13,
    most_lost: Annotated[
        float,
        typer.Option(
            "--most-lost",
            min=0,
            max=1,
            help="Upper bound on the share of conversions that the deprioritised list may lose; "
            "0: no list.",
        ),
    ] = 0.05,
    hysteresis: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.95,
            help="A lead leaves its tier when its odds are this share below the threshold; "
            "without it, from the noise of leads without news.",
        ),
    ] = None,
    max_churn: Annotated[
        float | None,
        typer.Option(
            "--max-churn",
            min=0,
            max=1,
            help="Largest share of leads to change tier by the thresholds alone; without it 0.2 "
            "where a policy is replaced, and none for the first.",
        ),
    ] = None,
    accept_churn: Annotated[
        bool, typer.Option("--accept-churn", help="Write the policy whatever changes.")
    ] = False,
    as_of: AsOf = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Policy to write; one there is its predecessor.")
    ] = Path("policy.json"),
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate, draw, write."""
    from intentcast.evaluation.half_life_chart import standalone
    from intentcast.evaluation.out_of_time import predict_out_of_time
    from intentcast.evaluation.threshold_chart import draw_thresholds
    from intentcast.files import write_atomic
    from intentcast.thresholds.calibration import calibrate
    from intentcast.thresholds.churn import refuse_churn
    from intentcast.thresholds.hysteresis import noise_near, quiet_steps
    from intentcast.thresholds.policy import write_policy

    wish = _Wish(per_week, precision, value, deal_value, cost)
    wish.refuse_unclear()
    if out.suffix != ".json":
        raise InputError(
            f"--out {out}", expected="a name that ends in .json", next_step="name it so"
        )
    with progress() as say:
        loaded, _ = open_bundle(bundle)
        # The learner of the bundle, unless another is asked for.
        config = (settings is None and loaded.settings) or learner_settings(settings)
        dataset = open_dataset(folder, say)
        refuse_strange(loaded, dataset)
        before = _predecessor(out, dataset.config.name, loaded)
        known_by = instant(as_of, default=dataset.data_cutoff)
        if known_by > dataset.data_cutoff:
            raise InputError(
                f"--as-of {known_by:%Y-%m-%d} and data that end on {dataset.data_cutoff:%Y-%m-%d}",
                expected="a time at which the data are known",
                next_step="give an earlier one",
            )
        seen = predict_out_of_time(dataset, known_by=known_by, config=config, on_progress=say)
        ask = wish.ask(seen.dataset)
        say("bands")
        steps = quiet_steps(seen.dataset, seen.predictions)
        found = calibrate(
            seen.evidence,
            ask,
            weeks=weeks,
            most_lost=most_lost,
            noise_at=lambda threshold: noise_near(threshold, steps),
            fall=None if hysteresis is None else -math.log1p(-hysteresis),
        )
        say("churn")
        churn = _churn(loaded, seen.dataset, before, found.tiers)
        most = max_churn if max_churn is not None else _MOST_CHURN if before else 1.0
        is_kept = accept_churn or churn.share <= most
        say("drawing")
        picture = out.with_suffix(".svg")
        write_atomic(picture, standalone(draw_thresholds(found)).encode())
        times = seen.predictions["as_of"].unique().sort().to_list()
        details = {
            **found.to_json(),
            "churn": {**asdict(churn), "share": churn.share},
            "predictions": {
                "what": "the champion, refitted before each test window, out of time and matured",
                "n_folds": seen.n_folds,
                "first_as_of": times[0].isoformat(),
                "last_as_of": times[-1].isoformat(),
                "n_matured": len(seen.predictions),
            },
        }
        policy = _policy(loaded, before, found.tiers, known_by, details)
        place = out if is_kept else out.with_suffix(".proposed.json")
        write_policy(policy, place)
    if as_json and is_kept:
        show({"out": str(out), "curve": str(picture), **policy.to_json()})
    if not as_json:
        _print(policy)
        print(f"Policy {policy.version}: {place}; curve: {picture}")
    if not is_kept:
        refuse_churn(churn, most=most, proposed=place.name)


@dataclass(frozen=True)
class _Wish:
    """What the command line asks for."""

    per_week: float | None
    precision: float | None
    value: bool
    deal_value: str
    cost: float | None

    def refuse_unclear(self) -> None:
        """Refuse none or more than one wish, a value without its cost, and an odd amount."""
        from intentcast.thresholds.choose import number_of

        given = [
            name
            for name, is_given in (
                ("--per-week", self.per_week is not None),
                ("--precision", self.precision is not None),
                ("--value", self.value),
            )
            if is_given
        ]
        if len(given) != 1:
            raise InputError(
                " and ".join(given) or "none of --per-week, --precision and --value",
                expected="exactly one of them",
                next_step="give one, such as --per-week 10",
            )
        if self.deal_value not in ("mean", "median"):
            number_of(self.deal_value)
        if self.value and not self.cost:
            raise InputError(
                "--value without --cost-per-handoff",
                expected="what a hand-off costs, above 0, in the currency of the amounts",
                next_step="give it, such as --cost-per-handoff 150",
            )

    def ask(self, dataset: "Dataset") -> "Ask":
        """Return the question, with the value of a conversion."""
        from intentcast.thresholds.choose import Ask, value_of_conversion

        if not self.value:
            return Ask(per_week=self.per_week, precision=self.precision)
        return Ask(value=value_of_conversion(dataset, self.deal_value), cost=self.cost)


def _predecessor(out: Path, name: str, bundle: "Bundle") -> "Policy | None":
    """Return the policy that is to be replaced, if there is one."""
    from intentcast.thresholds.policy import check_policy, read_policy

    if not out.exists():
        return None
    try:
        policy = read_policy(out)
    except InputError as error:
        raise _in_the_way(out, error.found) from None
    if policy.dataset != name:
        raise InputError(
            f"{out} is a policy of {policy.dataset}",
            expected=f"one of {name}, or no file",
            next_step="choose another --out",
        )
    try:
        check_policy(
            policy, name=name, version=bundle.version, horizon_days=bundle.primary_horizon_days
        )
    except InputError as error:
        raise _in_the_way(out, error.found) from None
    return policy


def _in_the_way(out: Path, found: str) -> InputError:
    return InputError(
        f"a file that cannot be a predecessor: {found}",
        expected=f"a policy of this bundle's horizon in {out}, or no file",
        next_step="move it away, or give another --out",
    )


def _churn(
    bundle: "Bundle", dataset: "Dataset", before: "Policy | None", tiers: "TierPolicy"
) -> "Churn":
    """Return whose tier would flip among the leads of today, scored by the bundle."""
    from intentcast.scoring import predict_primary
    from intentcast.snapshots import snapshots_at
    from intentcast.thresholds.churn import measure_churn

    p = predict_primary(bundle, dataset, snapshots_at(dataset, dataset.data_cutoff))
    old = before.tiers if before else bundle.tiers
    return measure_churn(p, old, tiers)


def _policy(
    bundle: "Bundle",
    before: "Policy | None",
    tiers: "TierPolicy",
    known_by: datetime,
    details: dict[str, Any],
) -> "Policy":
    from intentcast.thresholds.policy import BundleRef, Policy

    return Policy(
        dataset=bundle.name,
        version=before.version + 1 if before else 1,
        created=datetime.now(UTC).isoformat(),
        previous={"version": before.version, "sha256": before.sha256} if before else None,
        bundle=BundleRef(bundle.name, bundle.version, bundle.sha256),
        tiers=tiers,
        known_by=known_by.isoformat(),
        details=details,
    )


def _print(policy: "Policy") -> None:
    """Print what the policy rests on, what it brings and what it changes, in 80 columns."""
    told, tiers = policy.details, policy.tiers
    seen, used = told["predictions"], told["evidence"]
    text = (
        f"{seen['n_matured']:,} matured predictions, out of time, of {seen['n_folds']} refitted "
        f"models, {seen['first_as_of'][:10]} to {seen['last_as_of'][:10]}. Counted over "
        f"{used['n_weeks']:.0f} weeks in which {used['n_leads']:,} leads were scored; "
        f"{used['n_converted_leads']} of them converted within {tiers.horizon_days} days. A lead "
        "counts in the week in which it newly reaches a threshold."
    )
    print(textwrap.fill(text, 80))
    weeks = told["bands"]["hot"]["weeks"]
    print(f"\n{'per week':<24}{'was':>8}  {f'next {weeks} weeks':>16}  95 % band")
    for tier, enter, leave in (
        ("hot", tiers.hot, tiers.hot_leave),
        ("warm", tiers.warm, tiers.warm_leave),
    ):
        band = told["bands"][tier]
        left = "" if leave is None else f", left below {percent(leave)}"
        print(f"{tier} from {percent(enter)}{left}")
        for name, what in (("volume", "newly reach it"), ("conversions", "of them convert")):
            found = band["per_week"][name]
            past, next_, low, high = (f"{found[k]:.1f}" for k in _BAND)
            print(f"  {what:<22}{past:>8}  {next_:>16}  {low} to {high}")
        past, next_, low, high = (percent(band["precision"][k]) for k in _BAND)
        print(f"  {'share that converts':<22}{past:>8}  {next_:>16}  {low} to {high}")
    from intentcast.tiers import WARM_MULTIPLE

    newly = [told["bands"][tier]["per_week"]["volume"]["past"] for tier in ("hot", "warm")]
    if newly[1] < 0.95 * WARM_MULTIPLE * newly[0]:
        print(
            textwrap.fill(
                f"No threshold lets {WARM_MULTIPLE} times as many leads newly reach warm as hot: "
                "warm begins where most do.",
                80,
            )
        )
    print()
    if lost := told["lost"]:
        print(
            textwrap.fill(
                f"Deprioritised below {percent(lost['threshold'])}: "
                f"{percent(lost['share_of_leads'])} of the leads in the test weeks, with "
                f"{percent(lost['share'])} of the conversions, at most "
                f"{percent(lost['share_high'])} ({lost['conversions_high']:.1f} at a time; 95 % "
                f"bound over {lost['n_accounts']} accounts).",
                80,
            )
        )
    else:
        print("No deprioritised list: no list is sure to lose as little as --most-lost.")
    churn = told["churn"]
    moves = ", ".join(f"{n} {move}" for move, n in churn["moves"].items())
    print(
        textwrap.fill(
            f"Churn: {churn['n_flipped']} of {churn['n_leads']} leads "
            f"({percent(churn['share'])}) change tier by the thresholds alone"
            + (f": {moves}." if moves else ".")
            + (f" {churn['n_listed']} are newly on the list." if churn["n_listed"] else ""),
            80,
        )
    )
