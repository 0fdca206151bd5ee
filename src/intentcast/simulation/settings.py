"""The ``dataset.toml`` that goes with a simulated world."""

from typing import Final

_HANDOFFS_PER_LEAD: Final = 0.0025  # weekly; about a quarter of the leads that arrive in a week

_TEMPLATE: Final = """\
name = "{name}"

[conversion]
outcomes = ["closed_won"]
closing = ["closed_lost"]
recurring = false
horizons_days = [30, 60, 90]
primary_horizon_days = 90

[cohort]
rule = "engaged"
within_days = 180
every_days = 7
start = 2024-07-01
end = 2025-12-29

[attributes]
numeric = ["employee_count"]
categorical = ["industry", "country", "job_title", "source"]

[themes]
core = ["pricing", "implementation", "roi", "architecture"]

[themes.seeds]
pricing = "pricing price plans quote licence"
implementation = "implementation onboarding migration rollout training"
roi = "roi payback savings business case cost of ownership"
architecture = "integration security api developers sap"
credibility = "case study customers reference reviews"
problem = "handover problem delays churn"
product = "product features workspace reporting"
industry = "blog news trends industry report"

[capacity]
handoffs_per_week = {handoffs}

[backtest]
first_test = 2025-01-06
folds = 4
"""


def dataset_toml(*, name: str, n_leads: int) -> str:
    """The settings of a world of ``n_leads`` leads, ready to be written."""
    handoffs = max(1, round(n_leads * _HANDOFFS_PER_LEAD))
    return _TEMPLATE.format(name=name, handoffs=handoffs)
