"""The rank that a job title tells."""

import pytest

from intentcast.features.seniority import rank


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        (None, 0),
        ("", 0),
        ("  ", 0),
        ("Engineer", 1),
        ("Buyer", 1),
        ("Sales Assistant", 1),
        ("Vector Analyst", 1),
        ("Product Manager", 2),
        ("Team Lead", 2),
        ("Principal Engineer", 2),
        ("Supervisor, Night Shift", 2),
        ("Director of Operations", 3),
        ("Head of IT", 3),
        ("Managing Director", 3),
        ("VP Sales", 4),
        ("SVP, Marketing", 4),
        ("EVP", 4),
        ("Vice President", 4),
        ("Vice-President Finance", 4),
        ("Partner", 4),
        ("CTO", 5),
        ("cfo", 5),
        ("Chief Information Officer", 5),
        ("President", 5),
        ("President and CEO", 5),
        ("Founder", 5),
        ("Owner", 5),
        ("Chief of Staff", 5),
    ],
)
def test_a_title_has_the_rank_of_its_highest_word(title, expected):
    assert rank(title) == expected
