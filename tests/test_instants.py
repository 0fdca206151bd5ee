"""Plain times are read as the standard library reads them; whatever is odd is left to it."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from intentcast.instants import UNSAID, instant, micros, plain_instants

zones = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
moments = st.datetimes(datetime(1970, 1, 2), datetime(2199, 1, 1), timezones=zones)


@given(st.lists(st.tuples(moments, st.sampled_from("Tt ")), min_size=1, max_size=5))
def test_plain_times_are_read_to_the_microsecond(told):
    texts = [moment.isoformat(sep=sep) for moment, sep in told]
    expected = [micros(moment.astimezone(UTC)) for moment, _ in told]
    assert plain_instants(texts).tolist() == expected
    assert [instant(value) for value in expected] == [m.astimezone(UTC) for m, _ in told]


@given(
    *(st.integers(low, high) for low, high in
      ((1960, 2110), (0, 13), (0, 32), (0, 25), (0, 61), (0, 61))),
    st.sampled_from(["", ".5", ".000001", ".1234567", ".123456789"]),
    st.sampled_from(["Z", "z", "+00:00", "-05:30", "+23:59"]),
)  # fmt: skip
def test_a_time_is_read_where_it_exists_and_left_where_it_does_not(
    year, month, day, hour, minute, second, fraction, zone
):
    text = f"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"
    try:
        expected = micros(datetime.fromisoformat(text.upper()).astimezone(UTC))
    except ValueError:
        expected = UNSAID
    [found] = plain_instants([text]).tolist()
    assert found == (expected if year >= 1970 else UNSAID)


@given(st.lists(st.text(max_size=40), min_size=1, max_size=3))
def test_other_texts_are_left_alone(texts):
    plain = "2026-01-31T09:00:00Z"
    found = plain_instants([*texts, plain])
    assert len(found) == len(texts) + 1
    for text, value in zip(texts, found.tolist(), strict=False):
        if value != UNSAID:
            assert micros(datetime.fromisoformat(text.upper()).astimezone(UTC)) == value


def test_a_line_break_inside_a_time_makes_none_of_them_plain():
    twice = "2026-01-31T09:00:00Z\n2026-01-31T09:00:00Z"
    assert plain_instants([twice, "2026-01-31T09:00:00Z"]).tolist() == [UNSAID] * 2
    assert plain_instants(["2026-01-31T09:00:00Z", "Ｚ"]).tolist() == [UNSAID] * 2
    assert plain_instants([]).tolist() == []
