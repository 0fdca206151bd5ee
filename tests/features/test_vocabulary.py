"""Which group an event is counted in: what was learnt, or `other`; never a machine's."""

from intentcast.config import FeatureSettings
from intentcast.features import fit_featurizer
from tests.conftest import at, event
from tests.features.by_hand import nonzero, seen, told


def test_what_training_did_not_learn_counts_as_other():
    got = told(seen("2024-03-01", "/careers", kind="hologram", channel="ether"))
    assert nonzero(got, "count", "7d") == {
        "engagement.any": 1, "activity.other": 1, "theme.other": 1, "channel.other": 1,
    }  # fmt: skip


def test_words_that_nobody_knows_make_a_content_of_no_theme():
    for content in ("quux", "zzz/yyy", "日本語"):
        got = told(seen("2024-03-01", content))
        assert nonzero(got, "count", "7d")["theme.other"] == 1.0


def test_an_event_without_content_or_channel_is_in_no_such_group():
    assert nonzero(told(seen("2024-03-01")), "count", "7d") == {
        "engagement.any": 1, "activity.page_view": 1,
    }  # fmt: skip


def test_a_name_in_other_letters_is_another_name():
    got = told(seen("2024-03-01", kind="Page_View"))
    assert nonzero(got, "count", "7d") == {"engagement.any": 1, "activity.other": 1}


def test_machine_events_never_count():
    robots = [
        seen(f"2024-03-0{day}", "/pricing", channel="web", value=5.0, who=who, is_machine=True)
        for day in (1, 2, 3)
        for who in ("L1", "L2")
    ]
    human = [seen("2024-03-01", "/rollout", is_machine=False), seen("2024-02-01")]
    got, without = told(*robots, *human), told(*human)
    assert list(map(str, got.values())) == list(map(str, without.values()))


def test_types_that_tell_of_opens_or_clicks_are_learnt_however_rare(make_dataset):
    kinds = ["page_view"] * 300 + ["download"] + ["email_open", "Link Click", "reopened"]
    dataset = make_dataset(
        events=[event("L1", "2024-02-01", kind, event_id=str(i)) for i, kind in enumerate(kinds)],
        outcomes=[],
    )
    settings = FeatureSettings(max_event_types=2, min_share=0.1, clustered_themes=0)
    found = fit_featurizer(dataset, known_by=at("2024-03-04"), settings=settings, seed=7)
    assert found.spec.event_types == ("Link Click", "email_open", "page_view", "reopened")
    names = found.spec.names
    assert "activity.count.email_open.7d" in names
    assert "activity.count.link_click.7d" in names
