"""Settings: flags over file over environment, and refusals that name the key."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from journal.refusal import Refusal
from lanes.profile import PROFILES
from reactor.run.settings import SoakSettings, load, pace, point, span_s


@pytest.fixture
def config(tmp_path):
    """config(text) writes a file and returns its path."""

    def write(text):
        path = tmp_path / "violet.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def refused(flags=None, path=None, environ=None):
    """The one line that a refusal says."""
    with pytest.raises(Refusal) as refusal:
        load(flags or {}, path, environ or {})
    text = str(refusal.value)
    assert "\n" not in text
    return text


# -- who wins ------------------------------------------------------------------------------------------------------


def test_defaults_are_those_of_the_contract():
    found = load({}, None, {})
    assert found.soak == SoakSettings()
    assert (found.soak.data, found.soak.name, found.soak.from_) == (Path("violet-data"), "violet", "earliest")
    assert (found.soak.speed, found.soak.until, found.soak.for_) == ("max", None, None)
    assert found.profile == PROFILES["blue_8b"]
    assert found.journal.url is None


def test_a_flag_wins_over_the_file_and_the_file_over_the_environment(config):
    path = config("[reactor]\nbatch_size = 20\nflush_ms = 200\n")
    environ = {"VIOLET_BATCH_SIZE": "10", "VIOLET_FLUSH_MS": "100", "VIOLET_NAME": "env"}
    found = load({"batch_size": 30}, path, environ).soak
    assert (found.batch_size, found.flush_ms, found.name) == (30, 200, "env")
    assert load({}, path, environ).soak.batch_size == 20
    assert load({}, None, environ).soak.batch_size == 10
    assert load({"flush_ms": 300}, None, environ).soak.flush_ms == 300


@pytest.mark.parametrize("key", [f.alias or n for n, f in SoakSettings.model_fields.items()])
def test_every_long_flag_is_a_key_of_the_file_and_a_variable(key, config):
    value = {
        "data": "d", "name": "n", "profile": "v3_base9", "scans": "s.jsonl", "from": "latest", "until": "end",
        "for": "3h", "speed": "60x", "batch_size": 7, "flush_ms": 7, "new": True, "new_segment": True,
        "accept_gap": True, "web": True, "keep_inputs": "30d", "resume_halted": "looked into", "bootstrap_servers": "h:1", "topic": "t",
        "taps": "acb,ob", "topology": "faust", "lane_workers": 5,
        "metrics_port": 9464, "sketches": True, "log_format": "json",
    }[key]  # fmt: skip
    both = {"bootstrap_servers": "h:1", "topic": "t"} if key in ("bootstrap_servers", "topic") else {key: value}
    text = {k: str(v).lower() if isinstance(v, bool) else repr(v) for k, v in both.items()}
    by_file = load({}, config("[reactor]\n" + "".join(f"{k} = {v}\n" for k, v in text.items())), {})
    by_env = load({}, None, {f"VIOLET_{k.upper()}": str(v) for k, v in both.items()})
    assert load(both, None, {}).soak == by_file.soak == by_env.soak != SoakSettings()


def test_the_environment_is_asked_only_for_known_names():
    assert load({}, None, {"VIOLET_BATCHSIZE": "x", "BATCH_SIZE": "x", "violet_batch_size": "x"}).soak == SoakSettings()


def test_lane_tables_go_into_the_profile(config):
    text = "[dc]\nboost = 1.2\n[acb]\nenabled = false\n[esof]\napplication = 'sc_post'\n[fanin]\nabs_max = 10.0\n"
    found = load({"profile": "v3_base9"}, config(text), {}).profile
    assert (found.name, found.dc.boost, found.acb.enabled) == ("v3_base9", 1.2, False)
    assert (found.esof.application, found.fanin.abs_max) == ("sc_post", 10.0)
    assert found.base == PROFILES["v3_base9"].base


def test_a_password_comes_from_file_or_environment_and_is_never_shown(config):
    path = config('[journal]\nurl = "https://h:8443"\nuser = "u"\n')
    found = load({}, path, {"VIOLET_JOURNAL_PASSWORD": "hunter2"})
    assert found.journal.password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(found) + str(found.journal)
    by_file = load({}, config('[journal]\npassword = "filed"\n'), {"VIOLET_JOURNAL_PASSWORD": "hunter2"})
    assert by_file.journal.password.get_secret_value() == "filed"
    said = refused(path=config("[journal]\npassword = 8675309\n"))  # the quotes were forgotten
    assert "journal.password" in said
    assert "8675309" not in said


# -- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("[reactor]\nbatchsize = 1\n", "reactor.batchsize", "batch_size"),
        ("[reactor]\nbatch-size = 1\n", "reactor.batch-size", "batch_size"),
        ("[reactor]\nfrom_ = 'latest'\n", "reactor.from_", "from"),
        ("[reactor.deep]\nx = 1\n", "reactor.deep", None),
        ("[journal]\npasword = 'x'\n", "journal.pasword", "password"),
        ("[reactr]\nname = 'x'\n", "reactr", "reactor"),
        ("[esoff]\nenabled = true\n", "esoff", "esof"),
        ("name = 'x'\n", "name", "name"),
        ("[dc]\nbost = 1.1\n", "dc.bost", "dc.boost"),
        ("[esof]\naplication = 'sc_post'\n", "esof.aplication", "esof.application"),
        ("[fanin]\nzzz = 1\n", "fanin.zzz", None),
    ],
)
def test_an_unknown_key_is_refused_by_its_full_dotted_name_with_a_hint(config, text, key, hint):
    said = refused(path=config(text))
    assert f"unknown key {key};" in said or said.endswith(f"unknown key {key}")
    assert "violet.toml" in said
    if hint:
        assert f"did you mean {hint!r}?" in said or f"did you mean {hint}?" in said


@pytest.mark.parametrize(
    "text", ["reactor = 1\n", "reactor = 'x'\n", "journal = [1]\n", "dc = 1.1\n", "[[reactor]]\nname = 'x'\n"]
)
def test_a_table_must_be_a_table(config, text):
    assert "must be a table" in refused(path=config(text))


@pytest.mark.parametrize(
    "text",
    [
        "[reactor\n",
        "[reactor]\nname = \n",
        "[reactor]\nname = 'a'\nname = 'b'\n",
        "\x00",
        b"[reactor]\nname = '\xff'\n",
    ],
)
def test_a_broken_file_is_refused_by_its_name(config, text):
    said = refused(path=config(text))
    assert "violet.toml" in said
    assert "; fix: " in said


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert "none.toml: no such file" in refused(path=tmp_path / "none.toml")
    assert "cannot be read" in refused(path=tmp_path)


@pytest.mark.parametrize(
    ("flags", "key"),
    [
        ({"batch_size": 0}, "--batch-size"), ({"batch_size": 1_000_001}, "--batch-size"),
        ({"batch_size": "many"}, "--batch-size"), ({"flush_ms": 0}, "--flush-ms"), ({"flush_ms": 60_001}, "--flush-ms"),
        ({"name": ""}, "--name"), ({"name": "a b"}, "--name"), ({"name": "a/b"}, "--name"), ({"name": "n" * 65}, "--name"),
        ({"name": "a\n"}, "--name"), ({"speed": "fast"}, "--speed"), ({"speed": "0x"}, "--speed"),
        ({"for": "14"}, "--for"), ({"for": "two days"}, "--for"), ({"new": "perhaps"}, "--new"),
    ],
    ids=str,
)  # fmt: skip
def test_a_bad_value_is_refused_by_its_flag_and_shown(flags, key):
    said = refused(flags)
    assert f"({key})" in said
    assert repr(next(iter(flags.values()))) in said


def test_bad_values_in_file_and_environment_are_refused_alike(config):
    assert "reactor.batch_size" in refused(path=config("[reactor]\nbatch_size = 'x'\n"))
    assert "reactor.batch_size" in refused(environ={"VIOLET_BATCH_SIZE": "x"})
    assert "dc.boost must be at least 1, was 0.9" in refused(path=config("[dc]\nboost = 0.9\n"))
    assert "journal.url" in refused(path=config("[journal]\nurl = 1\n"))


def test_limits_of_the_domain_are_inside_it():
    for key, low, high in (("batch_size", 1, 1_000_000), ("flush_ms", 1, 60_000)):
        assert getattr(load({key: low}, None, {}).soak, key) == low
        assert getattr(load({key: high}, None, {}).soak, key) == high
    assert load({"name": "n" * 64}, None, {}).soak.name == "n" * 64


def test_an_unknown_profile_is_refused():
    assert "profile must be one of blue_8b, v3_base9, was 'red'" in refused({"profile": "red"})


@pytest.mark.parametrize(
    "flags",
    [
        {"scans": "s.jsonl", "bootstrap_servers": "h:1", "topic": "t"}, {"topic": "t"}, {"bootstrap_servers": "h:1"},
        {"scans": "s.jsonl", "topic": "t"},
    ],
    ids=str,
)  # fmt: skip
def test_a_source_is_an_archive_or_a_brokers_topic(flags):
    assert "; fix: " in refused(flags)


# -- spans, paces, points --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("12h", 43_200.0),
        ("14d", 1_209_600.0),
        ("2w", 1_209_600.0),
        ("1.5m", 90.0),
        ("250ms", 0.25),
        ("0s", 0.0),
    ],
)
def test_a_span_is_a_number_and_a_unit(text, seconds):
    assert span_s(text) == seconds


@pytest.mark.parametrize("text", ["", "14", "d", "-1d", "1 d", "1D", "1.d", ".5s", "1e3s", "1d2h", "1y", " 1d"])
def test_what_is_no_span_is_refused(text):
    with pytest.raises(ValueError, match="must be a number and one of"):
        span_s(text)


@pytest.mark.parametrize(("text", "factor"), [("max", None), ("1x", 1.0), ("60x", 60.0), ("0.5x", 0.5)])
def test_a_pace_is_max_or_a_positive_factor(text, factor):
    assert pace(text) == factor


@pytest.mark.parametrize("text", ["", "x", "0x", "0.0x", "-1x", "60", "1e3x", "60X", "MAX", "infx", "1x "])
def test_what_is_no_pace_is_refused(text):
    with pytest.raises(ValueError, match="must be max, or a positive factor"):
        pace(text)


def test_a_point_is_an_offset_or_a_time_in_utc():
    at = datetime(2025, 5, 4, 15, 33, tzinfo=UTC)
    assert point("0", "from") == 0
    assert point("123", "until") == 123
    for text in (
        "2025-05-04T15:33Z",
        "2025-05-04T15:33",
        "2025-05-04 15:33:00+00:00",
        "2025-05-04T17:33+02:00",
    ):
        assert point(text, "from") == at
    assert point("2025-05-04T17:33+02:00", "from").tzinfo == timezone(timedelta(hours=2))
    assert point("2025-05-04", "from") == datetime(2025, 5, 4, tzinfo=UTC)


@pytest.mark.parametrize("text", ["@123", "123"])
def test_an_offset_is_stored_in_one_form_whichever_it_is_written_in(text):
    found = load({"from": text, "until": text}, None, {})
    assert (found.soak.from_, found.soak.until) == ("123", "123")


@pytest.mark.parametrize(("flag", "words"), [("from", "earliest, latest"), ("until", "end")])
@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "2025-13-01", "\u00b2", "earliest "])
def test_what_is_no_point_is_refused_with_what_it_may_be(text, flag, words):
    with pytest.raises(Refusal, match=f"--{flag} must be {words}, @OFFSET or a time"):
        point(text, flag)


@pytest.mark.parametrize("text", ["36501d", "3000000w", "9" * 400 + "d"])
def test_a_span_of_more_than_a_century_is_refused(text):
    assert span_s("36500d") == 36_500 * 86_400.0
    with pytest.raises(ValueError, match="must be at most 36500d"):
        span_s(text)
