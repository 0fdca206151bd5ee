"""Settings: what the smallest file means, and what each mistake is told."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from intentcast.config import DatasetConfig, LearnerConfig, parse_settings, read_settings
from intentcast.errors import ConfigError

CONVERSION = {"outcomes": ["won"], "horizons_days": [30, 90]}
ROOT = Path(__file__).parents[1]


def dataset(**sections):
    return parse_settings({"conversion": CONVERSION, **sections}, DatasetConfig, source="x.toml")


def from_text(tmp_path, text):
    path = tmp_path / "dataset.toml"
    path.write_text("[conversion]\noutcomes = ['won']\nhorizons_days = [30]\n" + text)
    return read_settings(path, DatasetConfig)


def test_outcomes_and_horizons_are_enough():
    config = dataset()
    assert config.conversion.primary_horizon_days == 90
    assert config.conversion.closing == ()
    assert not config.conversion.recurring
    assert (config.cohort.rule, config.cohort.within_days, config.cohort.every_days) == (
        "engaged",
        180,
        7,
    )
    assert config.cohort.start is None
    assert config.data_cutoff is None
    assert config.backtest.folds == 1
    assert config.quarantine.max_share == 0.2


def test_every_key_of_the_learner_has_a_default():
    assert parse_settings({}, LearnerConfig, source="x.toml") == LearnerConfig()


def test_the_shipped_learner_settings_are_valid():
    read_settings(ROOT / "models" / "conversion.toml", LearnerConfig)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"cohrt": {}}, r"unknown key cohrt in x\.toml.*did you mean cohort\."),
        ({"cohort": {"within_day": 3}}, r"unknown key cohort\.within_day .*mean within_days\."),
        ({"themes": {"seed": {}}}, r"unknown key themes\.seed .*did you mean seeds\."),
        ({"backtest": {"fold": 3}}, r"unknown key backtest\.fold .*did you mean folds\."),
        ({"columns": {"event": {}}}, r"unknown key columns\.event .*did you mean events\."),
        ({"capacity": {"zzz": 3}}, r"unknown key capacity\.zzz .*known here: handoffs_per_week\."),
    ],
)
def test_an_unknown_key_is_named_with_a_suggestion(sections, message):
    with pytest.raises(ConfigError, match=message):
        dataset(**sections)


def test_an_unknown_key_of_the_learner_is_named_with_a_suggestion():
    with pytest.raises(ConfigError, match=r"unknown key booster\.num_leafs .*mean num_leaves\."):
        parse_settings({"booster": {"num_leafs": 3}}, LearnerConfig, source="conversion.toml")


def test_all_faults_are_named_at_once_in_order():
    raw = {"conversion": {"outcome": ["won"]}, "name": "a b"}
    with pytest.raises(ConfigError) as caught:
        parse_settings(raw, DatasetConfig, source="x.toml")
    message = str(caught.value)
    assert "\n" not in message
    positions = [
        message.index(part)
        for part in (
            "name: ",
            "no conversion.horizons_days",
            "no conversion.outcomes",
            "unknown key conversion.outcome ",
        )
    ]
    assert positions == sorted(positions)


@given(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12))
def test_any_unknown_key_is_refused_by_name(key):
    if key in DatasetConfig.model_fields:
        return
    with pytest.raises(ConfigError, match=f"unknown key {key} in"):
        dataset(**{key: 1})


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("start = 2024-03-04", datetime(2024, 3, 4, tzinfo=UTC)),
        ("start = '2024-03-04'", datetime(2024, 3, 4, tzinfo=UTC)),
        ("start = 2024-03-04T06:00:00", datetime(2024, 3, 4, 6, tzinfo=UTC)),
        ("start = 2024-03-04T06:00:00+02:00", datetime(2024, 3, 4, 4, tzinfo=UTC)),
        ("start = '2024-03-04T06:00:00+02:00'", datetime(2024, 3, 4, 4, tzinfo=UTC)),
        ("start = 2024-03-04T06:00:00Z", datetime(2024, 3, 4, 6, tzinfo=UTC)),
    ],
)
def test_dates_are_first_instants_and_times_without_a_zone_are_utc(tmp_path, text, start):
    got = from_text(tmp_path, f"[cohort]\n{text}\nend = 2024-12-31\n").cohort.start
    assert got == start
    assert got.utcoffset() == start.utcoffset()


@pytest.mark.parametrize("value", ["20240304", "12.5", "true", "'soon'", "'04/03/2024'"])
def test_what_is_not_a_date_is_refused(tmp_path, value):
    with pytest.raises(ConfigError, match=r"cohort\.start: .*(not a date|Invalid isoformat)"):
        from_text(tmp_path, f"[cohort]\nstart = {value}\n")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"conversion": {**CONVERSION, "horizons_days": [90, 30]}}, "must rise and not repeat"),
        ({"conversion": {**CONVERSION, "horizons_days": [30, 30]}}, "must rise and not repeat"),
        ({"conversion": {**CONVERSION, "horizons_days": []}}, r"conversion\.horizons_days: "),
        ({"conversion": {**CONVERSION, "horizons_days": [0]}}, r"horizons_days\.0: .*equal to 1"),
        ({"conversion": {**CONVERSION, "outcomes": []}}, r"conversion\.outcomes: "),
        (
            {"conversion": {**CONVERSION, "primary_horizon_days": 60}},
            "primary_horizon_days = 60 is not among horizons_days",
        ),
        (
            {"conversion": {**CONVERSION, "closing": ["lost", "won"]}},
            r"\['won'\] cannot be both a conversion and a closing outcome",
        ),
        ({"cohort": {"rule": "everyone"}}, r"cohort\.rule: .*'engaged', 'created' or 'open'"),
        ({"cohort": {"within_days": 0}}, r"cohort\.within_days: .*equal to 1"),
        ({"cohort": {"start": "2024-02-01", "end": "2024-01-01"}}, "2024-02-01 is after its end"),
        ({"quarantine": {"max_share": 1.5}}, r"quarantine\.max_share: .*equal to 1"),
        ({"source_delay_hours": {"events": -1}}, r"source_delay_hours\.events: "),
        ({"source_delay_hours": {"events": float("inf")}}, r"events: .*finite"),
        ({"capacity": {"handoffs_per_week": "many"}}, r"capacity\.handoffs_per_week: "),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(sections, message):
    with pytest.raises(ConfigError, match=message):
        dataset(**sections)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"features": {"half_lives_days": [0.0]}}, r"half_lives_days\.0: .*equal to 0\.01"),
        ({"features": {"half_lives_days": [3.0, 3.0]}}, "must rise and not repeat"),
        ({"features": {"windows_days": [0]}}, r"windows_days\.0: .*equal to 1"),
        ({"features": {"windows_days": [30, 7]}}, "must rise and not repeat"),
        ({"booster": {"learning_rate": float("inf")}}, r"learning_rate: .*finite"),
        ({"booster": {"feature_fraction": 0}}, r"feature_fraction: .*greater than 0"),
        ({"logistic": {"inverse_penalties": []}}, r"logistic\.inverse_penalties: "),
        ({"calibration": {"share": 1}}, r"calibration\.share: .*less than 1"),
        ({"threads": 0}, r"threads: .*equal to 1"),
    ],
)
def test_a_learner_setting_out_of_range_is_refused_by_name(sections, message):
    with pytest.raises(ConfigError, match=message):
        parse_settings(sections, LearnerConfig, source="conversion.toml")


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        dataset().cohort.within_days = 3


def test_a_missing_file_says_what_to_write(tmp_path):
    with pytest.raises(ConfigError, match=r"no dataset\.toml in .*conversion\.horizons_days"):
        read_settings(tmp_path / "dataset.toml", DatasetConfig)


@pytest.mark.parametrize("content", [b"[conversion\n", b"name = 'caf\xe9'\n", b"\xff\xfe[\x00"])
def test_a_file_that_is_not_toml_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "dataset.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"dataset\.toml is not valid TOML") as caught:
        read_settings(path, DatasetConfig)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path):
    path = tmp_path / "dataset.toml"
    path.write_text("\ufeffname = 'marked'\n[conversion]\noutcomes=['won']\nhorizons_days=[30]\n")
    assert read_settings(path, DatasetConfig).name == "marked"


def test_settings_survive_json():
    config = dataset(cohort={"start": "2024-02-01"}, themes={"seeds": {"pricing": "cost"}})
    assert DatasetConfig.model_validate_json(config.model_dump_json()) == config
