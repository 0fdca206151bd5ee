"""Themes: seeds claim what they describe, clusters the rest, order and machine decide nothing."""

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.config import Themes, parse_settings
from intentcast.errors import ConfigError
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
    assert {"warehouse", "robots"} <= set(robots.split("-"))
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


def fit(contents=CONTENTS, **names):
    return fit_themes(contents, seeds=SEEDS, n_clusters=2, seed=7, **names)


def members(themes, contents=CONTENTS):
    """Return the titles of each theme, by name."""
    found = {}
    for title, number in zip(contents, themes.assign(list(contents)), strict=True):
        found.setdefault([*themes.names, "none"][number], set()).add(title)
    return found


def cluster_named_with(themes, word):
    [name] = [name for name in themes.names if word in name.split("-")]
    return name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Größe und Maße", ["grösse", "und", "masse"]),
        ("Cafe\u0301 Café", ["café", "café"]),
        ("/blog/%C3%BCber-uns", ["blog", "über", "uns"]),
        ("100% cotton", ["cotton"]),
        ("ПРИВЕТ, мир", ["привет", "мир"]),
        ("कीमत सूची", ["कीमत", "सूची"]),
        ("SAP統合ガイド", ["sap", "統合", "合ガ", "ガイ", "イド"]),
        ("お茶 茶", ["お茶", "茶"]),
        ("ราคา", ["รา", "าค", "คา"]),
        ("😀 🎉", []),
    ],
)
def test_words_of_any_script(text, expected):
    assert words(text) == expected


def test_titles_without_a_latin_letter_are_clustered_and_named():
    contents = {
        "システム統合ガイド": 3, "システム統合の概要": 2, "統合システム入門": 2,
        "料金プラン一覧": 5, "料金プランの比較": 4, "料金プラン質問": 1,
    }  # fmt: skip
    themes = fit_themes(contents, seeds={}, n_clusters=2, seed=7)
    first, second = members(themes, contents).values()
    assert {frozenset(first), frozenset(second)} == {
        frozenset(title for title in contents if "統合" in title),
        frozenset(title for title in contents if "料金" in title),
    }


def test_a_cluster_is_named_by_words_as_they_are_spelt_most():
    contents = {f"Christmas cards {kind}": 1 for kind in ("red", "blue", "gold")}
    [name] = fit_themes(contents, seeds={}, n_clusters=1, seed=7).names
    assert name.startswith(("cards-christmas-", "christmas-cards-"))


def test_a_title_that_is_like_no_other_has_no_theme():
    alike = {f"lunch bag {chr(97 + i) * 3} design": 5 for i in range(26)}
    odd = {"regency cakestand design in brass with antique umbrella handle": 9}
    themes = fit_themes(alike | odd, seeds={}, n_clusters=1, seed=7)
    assert members(themes, alike | odd)["none"] == set(odd)


def test_a_seed_claims_a_title_for_one_word_of_a_long_phrase():
    phrase = " ".join(f"word{chr(97 + i)}" for i in range(20))
    contents = {f"wordc beside other things entirely {n}": 1 for n in ("x one", "y two", "z three")}
    themes = fit_themes(contents, seeds={"long": phrase}, n_clusters=3, seed=7)
    assert themes.names == ("long",)
    assert set(themes.assign(list(contents))) == {0}


def test_a_theme_is_the_same_whatever_the_hash_seed():
    code = (
        "import json; from intentcast.features import fit_themes; "
        f"t = fit_themes({CONTENTS!r}, seeds={SEEDS!r}, n_clusters=2, seed=7, "
        f"merges={{'other': ['warehouse-robots', 'summer-conference']}}); "
        f"print(json.dumps([t.names, t.owners, t.examples, t.centroids.tobytes().hex(), "
        f"t.assign({[*CONTENTS, 'robots of summer']!r})]))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_titles_that_read_the_same_do_not_make_more_clusters():
    contents = {"/Robots": 1, "/robots": 4, "/ROBOTS/": 2, "Robots!": 3, "%52obots": 1, "Cars": 1}
    themes = fit_themes(contents, seeds={}, n_clusters=12, seed=7)
    assert themes.names == ("robots", "cars")
    assert themes.assign(list(contents)) == [0, 0, 0, 0, 0, 1]


def test_renaming_changes_a_name_and_nothing_else(themes):
    old = cluster_named_with(themes, "warehouse")
    renamed = fit(renames={old: "robots", "pricing": "money"})
    swap = {old: "robots", "pricing": "money"}
    assert renamed.names == tuple(swap.get(name, name) for name in themes.names)
    assert renamed.centroids.tobytes() == themes.centroids.tobytes()
    assert renamed.assign(list(CONTENTS)) == themes.assign(list(CONTENTS))


def test_a_merged_theme_holds_the_titles_of_its_parts_and_no_other(themes):
    robots, summer = themes.names[2:]
    before = members(themes)
    merged = fit(merges={"events and robots": [summer, robots]})
    assert merged.names == ("pricing", "implementation", "events and robots")
    assert members(merged) == {
        "pricing": before["pricing"],
        "implementation": before["implementation"],
        "events and robots": before[robots] | before[summer],
    }
    assert merged.owners == (0, 1, 2, 2)
    assert len(merged.examples) == 3


def test_a_cluster_can_be_merged_into_a_seed(themes):
    robots = themes.names[2]
    merged = fit(merges={"implementation": [robots]})
    assert merged.names == ("pricing", "implementation", themes.names[3])
    assert "/blog/warehouse-robots" in members(merged)["implementation"]
    assert "Migration checklist" in members(merged)["implementation"]


@pytest.mark.parametrize("part", ["robots", None], ids=["new name", "old name"])
def test_a_renamed_theme_can_be_merged_under_either_of_its_names(themes, part):
    old = cluster_named_with(themes, "warehouse")
    merged = fit(renames={old: "robots"}, merges={"pricing": [part or old]})
    assert "robots" not in merged.names
    assert "/blog/warehouse-robots" in members(merged)["pricing"]


def test_a_name_of_last_quarter_finds_the_cluster_that_most_of_its_words_lead():
    grown = CONTENTS | {"Warehouse drones": 30, "Drones for the warehouse": 20}
    old = cluster_named_with(fit(), "warehouse")
    themes = fit(grown, renames={"-".join(["report", *old.split("-")[:2]]): "robots"})
    assert "robots" in themes.names
    assert "/blog/warehouse-robots" in members(themes, grown)["robots"]
    assert themes.names[:2] == ("pricing", "implementation")
    assert len(themes.names) == len(fit(grown).names)


def test_a_named_theme_whose_cluster_is_gone_keeps_its_name_and_its_words():
    gone = {title: n for title, n in CONTENTS.items() if "onference" not in title}
    themes = fit(gone, renames={"conference-summer-tickets": "events"}, merges={"it": ["robots"]})
    assert "events" in themes.names
    assert "it" in themes.names
    assert "events" not in members(themes, gone)
    assert theme_of(themes, "Field report on robots") == ["it"]


def test_two_names_for_what_is_one_cluster_now_do_not_share_it():
    names = {"warehouse-robots-a": "first", "warehouse-robots-b": "second"}
    themes = fit(renames=names)
    assert {"first", "second"} <= set(themes.names)
    assert len(themes.names) == 5


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"renames": {"prycing": "money"}}, r"'prycing'.*names among pricing.*mean 'pricing'"),
        ({"merges": {"x": ["implementtion"]}}, r"merge.*'implementtion'.*mean 'implementation'"),
        ({"renames": {"pricing": "implementation"}}, r"already.*\[themes\.merge\]"),
    ],
)
def test_a_name_that_is_misspelt_or_taken_is_refused_with_a_way_out(names, message):
    with pytest.raises(ConfigError, match=message):
        fit(**names)


@given(st.randoms(use_true_random=False))
def test_merging_moves_no_title_whatever_is_merged(rng):
    base = fit()
    chosen = rng.sample(base.names, rng.randint(1, len(base.names)))
    merged = fit(merges={"joined": chosen})
    name = dict.fromkeys(chosen, "joined")
    titles = [*CONTENTS, "/unknown", "prices of robots", "summer rollout"]
    before = [name.get(found, found) for found in theme_of(base, *titles)]
    assert theme_of(merged, *titles) == before


def test_owners_that_leave_a_theme_without_a_centroid_are_no_model(themes):
    with pytest.raises(ValueError, match="centroids of 3 of 4 themes"):
        replace(themes, owners=(0, 1, 2, 2))


def test_a_hundred_thousand_titles_take_seconds(themes):
    titles = [f"Warehouse robots number {i} of the price list" for i in range(100_000)]
    started = time.process_time()
    assert set(themes.assign(titles)) == {2}
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rename": {"a": "x", "b": "x"}}, "rename gives x to several themes"),
        ({"merge": {"x": ["a"], "y": ["a", "b"]}}, "merge puts a into several themes"),
        ({"merge": {"x": []}}, "at least 1 item"),
        ({"rename": {"a": ""}}, "at least 1 character"),
    ],
)
def test_settings_that_give_one_name_to_two_things_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        parse_settings(settings, Themes, source="dataset.toml")
