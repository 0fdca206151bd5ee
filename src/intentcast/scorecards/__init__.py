"""Rules as models: a points table is a file, runs over snapshots, and explains each score.

read_scorecard(path) -> Scorecard          the file, checked
score_snapshots(card, dataset, snapshots)  points and class for many leads and as-of times
ledger(card, dataset, …)                   one score as lines that add up to it exactly
change_ledger(before, after, …)            why it is not what it was, cause by cause
ledger_of_history(card, history, config)   the same for one lead as a service sends it
"""

from intentcast.scorecards.builtin import builtin_scorecards, dataset_scorecards
from intentcast.scorecards.card import AttributeRule, BehaviourRule, Classes, Scorecard, Tier
from intentcast.scorecards.changes import ChangeLedger, ChangeLine, change_ledger
from intentcast.scorecards.decay import NoDecay, SilenceDecay, SilenceStep
from intentcast.scorecards.ledgers import Ledger, LedgerLine, ledger
from intentcast.scorecards.reading import parse_scorecard, read_scorecard
from intentcast.scorecards.scoring import score_snapshots
from intentcast.scorecards.single import ledger_of_history, ledgers_of_histories, unknown_past

__all__ = [
    "AttributeRule",
    "BehaviourRule",
    "ChangeLedger",
    "ChangeLine",
    "Classes",
    "Ledger",
    "LedgerLine",
    "NoDecay",
    "Scorecard",
    "SilenceDecay",
    "SilenceStep",
    "Tier",
    "builtin_scorecards",
    "change_ledger",
    "dataset_scorecards",
    "ledger",
    "ledger_of_history",
    "ledgers_of_histories",
    "parse_scorecard",
    "read_scorecard",
    "score_snapshots",
    "unknown_past",
]
