"""Attributes as numbers and flags: known, unknown, rare and never seen before."""

import math

import pytest

from intentcast.config import FeatureSettings
from intentcast.features import fit_featurizer
from tests.conftest import at
from tests.features.by_hand import told


def flags(got):
    return [name for name, value in got.items() if name.startswith("fit.is.") and value]


def test_a_number_is_taken_as_it_is():
    got = told(attributes={"employee_count": 250.5})
    assert got["fit.value.employee_count.number"] == 250.5
    assert told(account_attributes={"employee_count": 12})["fit.value.employee_count.number"] == 12


@pytest.mark.parametrize("value", [None, "a few", "", "nan", "inf", True])
def test_what_is_no_number_is_unknown(value):
    got = told(attributes={"employee_count": value})
    assert math.isnan(got["fit.value.employee_count.number"])


def test_a_number_written_as_text_is_a_number():
    assert told(attributes={"employee_count": "250"})["fit.value.employee_count.number"] == 250.0


def test_a_level_that_was_learnt_sets_its_flag_alone():
    got = told(account_attributes={"industry": "steel"})
    assert flags(got) == ["fit.is.industry_steel.flag"]
    assert got["fit.is.industry_steel.flag"] == 1.0


def test_a_level_that_was_not_learnt_sets_the_flag_of_the_others():
    assert flags(told(account_attributes={"industry": "music"})) == ["fit.is.industry_other.flag"]


def test_an_unknown_level_sets_no_flag():
    assert flags(told(account_attributes={"industry": None})) == []
    assert flags(told()) == []


def test_the_leads_own_attribute_goes_before_the_accounts():
    got = told(attributes={"industry": "steel"}, account_attributes={"industry": "software"})
    assert flags(got) == ["fit.is.industry_steel.flag"]


def test_rare_levels_are_pooled(make_dataset):
    # Six of software, three of steel, one of music.
    industries = ["software"] * 6 + ["steel"] * 3 + ["music"]
    leads = [
        {"lead_id": f"L{i}", "created_at": "2024-01-01", "account_id": None, "industry": industry}
        for i, industry in enumerate(industries)
    ]
    dataset = make_dataset(
        leads=leads, outcomes=[], settings={"attributes": {"categorical": ["industry"]}}
    )

    def learnt(**settings):
        settings = FeatureSettings(clustered_themes=0, **settings)
        found = fit_featurizer(dataset, known_by=at("2024-03-04"), settings=settings, seed=7)
        return found.spec.levels

    assert learnt(min_share=0.2) == (("industry", ("software", "steel")),)
    assert learnt(max_levels=1) == (("industry", ("software",)),)
    assert learnt() == (("industry", ("music", "software", "steel")),)
