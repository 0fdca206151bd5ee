"""Themes: seeds claim what they describe, clusters the rest, order and machine decide nothing."""

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.features import ThemeModel, fit_themes
from intentcast.features.themes import words

SEEDS = {"pricing": "price plans cost quote", "implementation": "onboarding migration rollout"}
CONTENTS = {
    "/pricing": 50,
    "/pricing/plans": 30,
    "What does it cost? Prices and quotes": 20,
    "Onboarding in four weeks": 15,
    "Migration checklist": 10,
    "/docs/rollout": 8,
    "/blog/warehouse-robots": 9,
    "/blog/warehouse-robots-two": 7,
    "Warehouse robots: a field report": 6,
    "/events/summer-conference": 5,
    "Summer conference speakers": 4,
    "Conference summer tickets": 3,
}


@pytest.fixture(scope="module")
def themes():
    return fit_themes(CONTENTS, seeds=SEEDS, n_clusters=2, seed=7)


def theme_of(themes, *contents):
    names = [*themes.names, "none"]
    return [names[number] for number in themes.assign(list(contents))]


def test_words_are_lower_case_without_common_ones_and_plurals():
    assert words("https://www.example.com/The-Prices_and/Case-Studies2024?x=1") == [
        "example", "price", "case", "study",
    ]  # fmt: skip
    assert words("status analysis business") == ["status", "analysis", "business"]
    assert words("") == []


def test_seeds_claim_the_content_that_they_describe(themes):
    assert theme_of(themes, "/pricing", "Prices and quotes", "/docs/rollout", "Migration") == [
        "pricing", "pricing", "implementation", "implementation",
    ]  # fmt: skip


def test_the_rest_is_clustered_and_named_by_its_top_words(themes):
    assert themes.names[:2] == ("pricing", "implementation")
    robots, conference = themes.names[2:]
    assert {"warehouse", "robot"} <= set(robots.split("-"))
    assert {"summer", "conference"} <= set(conference.split("-"))
    assert theme_of(themes, "The warehouse", "Summer tickets") == [robots, conference]


def test_content_that_shares_no_word_has_no_theme(themes):
    assert theme_of(themes, "/careers/accountant", "2024", "") == ["none"] * 3


def test_a_known_word_that_no_theme_uses_is_no_sign_of_any():
    themes = fit_themes(CONTENTS, seeds=SEEDS, n_clusters=0, seed=7)
    assert "warehouse" in themes.vocabulary
    assert theme_of(themes, "Warehouse") == ["none"]


def test_absent_content_is_not_content(themes):
    assert themes.assign([None, "/pricing"]) == [-1, 0]


def test_examples_are_the_titles_seen_most(themes):
    assert themes.examples[0][:2] == ("/pricing", "/pricing/plans")
    assert len(themes.examples) == len(themes.names)


def same(one, other):
    return (
        one.names == other.names
        and one.vocabulary == other.vocabulary
        and one.examples == other.examples
        and one.idf.tobytes() == other.idf.tobytes()
        and one.centroids.tobytes() == other.centroids.tobytes()
    )


@given(st.randoms(use_true_random=False))
def test_the_same_contents_in_another_order_give_the_same_themes(rng):
    items = list(CONTENTS.items())
    rng.shuffle(items)
    base = fit_themes(CONTENTS, seeds=SEEDS, n_clusters=2, seed=7)
    assert same(base, fit_themes(dict(items), seeds=SEEDS, n_clusters=2, seed=7))


def test_a_title_has_the_same_theme_alone_and_in_any_batch(themes):
    titles = [*CONTENTS, "/unknown", "prices of robots"]
    alone = [themes.assign([title])[0] for title in titles]
    shuffled = titles.copy()
    random.Random(3).shuffle(shuffled)
    assert dict(zip(shuffled, themes.assign(shuffled), strict=True)) == dict(
        zip(titles, alone, strict=True)
    )


def test_themes_survive_json_and_npz(themes, tmp_path):
    path = tmp_path / "themes.npz"
    np.savez(path, idf=themes.idf, centroids=themes.centroids)
    text = json.dumps([themes.names, themes.vocabulary, themes.examples])
    names, vocabulary, examples = json.loads(text)
    with np.load(path, allow_pickle=False) as arrays:
        again = ThemeModel(
            tuple(names), tuple(vocabulary), arrays["idf"], arrays["centroids"],
            tuple(tuple(titles) for titles in examples),
        )  # fmt: skip
    assert same(themes, again)
    titles = [*CONTENTS, "/unknown"]
    assert again.assign(titles) == themes.assign(titles)


def test_themes_have_unit_length(themes):
    assert np.linalg.norm(themes.centroids, axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("contents", "names"),
    [
        ({}, ()),
        ({"/1": 3, "/2": 2, "/3": 1, "/4": 1}, ()),
        ({f"/blog/{i}": 1 for i in range(9)}, ("blog",)),
        ({"/blog": 1, "/docs": 1}, ()),
    ],
)
def test_degenerate_content_makes_few_themes_and_no_noise(contents, names):
    assert fit_themes(contents, seeds={}, n_clusters=12, seed=7).names == names


def test_seeds_without_any_content_still_recognise_it():
    themes = fit_themes({}, seeds=SEEDS, n_clusters=12, seed=7)
    assert themes.names == tuple(SEEDS)
    assert theme_of(themes, "/price-list", "/robots") == ["pricing", "none"]


def test_no_more_themes_than_asked_for():
    assert fit_themes(CONTENTS, seeds={}, n_clusters=0, seed=7).names == ()
    assert len(fit_themes(CONTENTS, seeds={}, n_clusters=3, seed=7).names) == 3


def test_a_cluster_never_takes_the_name_of_a_seed():
    contents = {f"/robots/{i}": 1 for i in range(9)}
    themes = fit_themes(contents, seeds={"robot": "zzz"}, n_clusters=1, seed=7)
    assert len(set(themes.names)) == len(themes.names)
