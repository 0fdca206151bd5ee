"""What sales made of the leads it was handed: accepted, or sent back with a reason.

decisions(dataset)                    what sales decided, and the instant at which it became known
rule_hits(card, dataset, snapshots)   which rules of a points table each lead had met by then
survey_feedback(judged, hits, …)      rates, reasons, and what they suggest, as JSON values
feedback_lines(found)                 the same in words

Only leads that were handed over are here, so nothing follows for those that were not.
"""

from intentcast.feedback.associations import Association, associate
from intentcast.feedback.decisions import decisions
from intentcast.feedback.hits import dominating_themes, rule_hits
from intentcast.feedback.rates import Rate, accepted_rate
from intentcast.feedback.survey import survey_feedback
from intentcast.feedback.wording import feedback_lines

__all__ = [
    "Association",
    "Rate",
    "accepted_rate",
    "associate",
    "decisions",
    "dominating_themes",
    "feedback_lines",
    "rule_hits",
    "survey_feedback",
]
