"""Accounts: industry, country, size, and what follows from them for buying."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

# (industry, share of accounts, contribution to fit)
_INDUSTRIES: Final = (
    ("software", 0.20, 0.45),
    ("manufacturing", 0.18, 0.40),
    ("logistics", 0.12, 0.25),
    ("healthcare", 0.11, -0.05),
    ("financial services", 0.11, 0.05),
    ("professional services", 0.12, -0.20),
    ("retail", 0.09, -0.35),
    ("public sector", 0.07, -0.60),
)
INDUSTRIES: Final = (*(name for name, _, _ in _INDUSTRIES), "education")

_COUNTRIES: Final = (
    ("DE", 0.22), ("US", 0.26), ("GB", 0.14), ("FR", 0.10),
    ("NL", 0.09), ("SE", 0.07), ("AT", 0.06), ("CH", 0.06),
)  # fmt: skip
COUNTRIES: Final = tuple(name for name, _ in _COUNTRIES)

_GROUP_SIZE_SHARE: Final = (0.28, 0.22, 0.16, 0.12, 0.09, 0.06, 0.04, 0.03)  # 1 .. 8 people

_UNIVERSITY_SHARE: Final = 0.028
_COMPETITOR_SHARE: Final = 0.012
_PACE_SPREAD: Final = 0.45


@dataclass(frozen=True)
class Accounts:
    """One entry per account in every array, shape (n_accounts,).

    ``industry`` and ``country`` are positions in ``INDUSTRIES`` and ``COUNTRIES``; ``fit`` is about
    -1 .. 1; ``pace`` multiplies the speed of buying and is seen by nobody.
    """

    industry: npt.NDArray[np.int64]
    country: npt.NDArray[np.int64]
    employee_count: npt.NDArray[np.int64]
    group_size: npt.NDArray[np.int64]
    is_university: npt.NDArray[np.bool_]
    is_competitor: npt.NDArray[np.bool_]
    fit: npt.NDArray[np.float64]
    pace: npt.NDArray[np.float64]

    @property
    def is_outsider(self) -> npt.NDArray[np.bool_]:
        """Universities and competitors: they read, they never buy."""
        return self.is_university | self.is_competitor


def draw_accounts(n_accounts: int, rng: np.random.Generator) -> Accounts:
    """Draw independent accounts, each with the size of its buying group."""
    lot = rng.random(n_accounts)
    is_university = lot < _UNIVERSITY_SHARE
    is_competitor = ~is_university & (lot < _UNIVERSITY_SHARE + _COMPETITOR_SHARE)

    industry = rng.choice(len(_INDUSTRIES), n_accounts, p=[share for _, share, _ in _INDUSTRIES])
    industry[is_university] = INDUSTRIES.index("education")
    industry[is_competitor] = INDUSTRIES.index("software")
    employee_count = np.clip(np.exp(rng.normal(4.8, 1.2, n_accounts)), 3, 20_000).astype(np.int64)

    return Accounts(
        industry=industry,
        country=rng.choice(len(_COUNTRIES), n_accounts, p=[share for _, share in _COUNTRIES]),
        employee_count=employee_count,
        group_size=1 + rng.choice(len(_GROUP_SIZE_SHARE), n_accounts, p=_GROUP_SIZE_SHARE),
        is_university=is_university,
        is_competitor=is_competitor,
        fit=_fit(industry, employee_count),
        pace=np.exp(rng.normal(0.0, _PACE_SPREAD, n_accounts)),
    )


def _fit(
    industry: npt.NDArray[np.int64], employee_count: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Size and industry added up: 50-300 employees and software or manufacturing fit best."""
    by_industry = np.asarray([*(weight for _, _, weight in _INDUSTRIES), 0.0])
    by_size = np.select(
        [employee_count < 50, employee_count <= 300], [-0.55, 0.45], default=0.05
    ).astype(np.float64)
    return by_industry[industry] + by_size
