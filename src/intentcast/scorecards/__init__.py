"""Rules as models: a points table is a file, runs over snapshots, and explains each score.

read_scorecard(path) -> Scorecard          the file, checked
score_snapshots(card, dataset, snapshots)  points and class for many leads and as-of times
ledger(card, dataset, …)                   one score as lines that add up to it exactly
"""

from intentcast.scorecards.builtin import builtin_scorecards, dataset_scorecards
from intentcast.scorecards.card import AttributeRule, BehaviourRule, Classes, Scorecard, Tier
from intentcast.scorecards.decay import NoDecay, SilenceDecay, SilenceStep
from intentcast.scorecards.ledgers import Ledger, LedgerLine, ledger
from intentcast.scorecards.reading import parse_scorecard, read_scorecard
from intentcast.scorecards.scoring import score_snapshots

__all__ = [
    "AttributeRule",
    "BehaviourRule",
    "Classes",
    "Ledger",
    "LedgerLine",
    "NoDecay",
    "Scorecard",
    "SilenceDecay",
    "SilenceStep",
    "Tier",
    "builtin_scorecards",
    "dataset_scorecards",
    "ledger",
    "parse_scorecard",
    "read_scorecard",
    "score_snapshots",
]
