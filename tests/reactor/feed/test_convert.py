"""Conversions by themselves: each kind takes what it can read exactly, and names what it cannot."""

import math

import pytest

from journal.refusal import Refusal
from reactor.feed.convert import (
    BadRow,
    decode,
    encode,
    has,
    is_empty,
    is_infinite,
    parsed,
    show,
    spelled,
    steps,
    text,
    walk,
    words_for_none,
)
from reactor.feed.mapping import CONVERT


def read(kind, theirs, **spec):
    return CONVERT[kind](spec, "here")(theirs)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b", 1),
        ("a.c", None),
        ("l.1", "y"),
        ("l.2", None),
        ("l.x", None),
        ("t.k.0", 7),
        ("n", None),
        ("s.k", None),
        ("a", {"b": 1}),
    ],
)
def test_a_path_leads_through_maps_lists_and_json_in_text(path, found):
    row = {"a": {"b": 1}, "l": ["x", "y"], "t": '{"k": [7, 8]}', "s": "no json", "n": None}
    assert walk(row, steps(path)) == found
    if path == "t.k.0":
        assert row["t"] == {"k": [7, 8]}  # read once a row
        assert walk(row, ("t", "k", "1")) == 8
    assert walk('{"b": 2}', ("b",)) == 2


@pytest.mark.parametrize("path", ["", "a..b", [], [1], ["a", ""], None, 3])
def test_a_path_of_another_form_is_refused(path):
    with pytest.raises(Refusal, match="a path must be text"):
        steps(path)


@pytest.mark.parametrize(
    ("value", "number"), [(7, 7), ("7", 7), (7.0, 7), ("7.0", 7), (" 7 ", 7), ("-3", -3), (2**70, 2**70), ("1e3", 1000)]
)
def test_a_whole_number_in_any_form(value, number):
    assert read("integer", value) == number
    assert type(read("integer", value)) is int


@pytest.mark.parametrize("value", [7.5, "7.5", "x", None, True, [], "1e41", math.inf, math.nan, "nan"])
def test_what_is_no_whole_number_is_named(value):
    with pytest.raises(BadRow, match="is no whole number"):
        read("integer", value)


def test_words_are_ours_where_they_are_listed():
    assert read("text", True) == "true"
    assert read("text", 17.0) == text(17) == "17"
    assert read("text", 1.5) == "1.5"
    assert read("text", "yes", values={"yes": "CONFIRM"}) == "CONFIRM"
    assert read("text", False, values={"false": "LONG"}) == "LONG"
    with pytest.raises(BadRow, match='\'no\' is not among `values`; fix: add "no" = "OURS"'):
        read("text", "no", values={"yes": "CONFIRM"})
    with pytest.raises(BadRow, match="is no text"):
        read("text", {"a": 1})
    with pytest.raises(Refusal, match="here: values must be a table"):
        read("text", "x", values=["yes"])


@pytest.mark.parametrize(("written", "number"), [("1.5", 1.5), (" -2e3 ", -2000.0), ("+.5", 0.5), ("5.", 5.0), (7, 7.0), (True, None), ("1_5", None), ("\uff11\uff12", None), ("1,5", None), ("0x1f", None), ("1e", None), ("", None), ("1.5.2", None), ("--1", None), (None, None), ([], None)])  # fmt: skip
def test_a_number_is_written_in_plain_digits(written, number):
    if number is not None:
        assert read("number", written) == number
        return
    with pytest.raises(BadRow) as bad:
        read("number", written)
    assert str(bad.value).startswith(f"{show(written)} is no number; fix: ")


@pytest.mark.parametrize("written", ["inf", "-Infinity", "+INF", "1e400", math.inf, -math.inf, 10**400])
def test_what_is_not_finite_is_named_as_it_stands(written):
    with pytest.raises(BadRow, match="is not finite; fix: `skip_without`") as bad:
        read("number", written)
    assert str(bad.value).startswith(show(written))
    assert is_infinite(written) is (written not in ("1e400", 10**400))


def test_a_value_is_shown_as_it_stands_in_its_file():
    shown = {"\\N": "'\\N'", None: "null", True: "true", 1.5: "1.5", 17.0: "17.0", math.inf: "inf", "a\tb": "'a\\tb'"}
    assert {value: show(value) for value in shown} == shown
    assert show(math.nan) == "NaN"
    assert show({"a": [1, None]}) == '{"a": [1, null]}'
    assert len(show("x" * 100)) == 60


def test_json_is_read_as_the_world_writes_it():
    found = decode(b'{"a": NaN, "b": -Infinity, "c": 1e400, "d": "\\ud800", "e": ' + b"9" * 5_000 + b', "f": 1e-400}')
    assert math.isnan(found.pop("a"))
    assert found == {"b": "-Infinity", "c": "1e400", "d": "\ud800", "e": "9" * 5_000, "f": 0.0}
    for text_ in ('{"a": nan}', '{"a": 1', "", "{'a': 1}", '{"a": 01}'):
        with pytest.raises(ValueError, match="JSON|truncated|malformed"):
            decode(text_)


def test_a_row_that_is_written_out_keeps_nan_and_infinity():
    assert encode({"a": 1.5, "b": "ü"}) == '{"a":1.5,"b":"ü"}'.encode()
    assert encode({"a": math.nan, "b": -math.inf, "c": None}) == b'{"a":NaN,"b":-Infinity,"c":null}'


def test_text_that_is_no_utf_8_is_named():
    with pytest.raises(BadRow, match="is no text in UTF-8; fix: "):
        read("text", b"caf\xe9".decode(errors="surrogateescape"))


def test_a_field_that_is_null_is_there():
    row = {"a": {"b": None}, "l": [None], "t": '{"k": ""}'}
    assert [has(row, steps(p)) for p in ("a", "a.b", "l.0", "t.k")] == [True] * 4
    assert [has(row, steps(p)) for p in ("b", "a.c", "l.1", "l.x", "t.j", "a.b.c")] == [False] * 6
    assert [spelled(("a", "b")), spelled(("a.b", "c"))] == ['"a.b"', '["a.b", "c"]']


@pytest.mark.parametrize("word", ["", " ", "NaN", "-nan", "NaT", "None", "NULL", "null", "\\N", "N/A", "n/a", "NA", "<NA>", "#N/A", "nil", " NaN "])  # fmt: skip
def test_words_for_no_value_are_known_in_any_case(word):
    assert is_empty(word)
    assert is_empty(word.swapcase())


@pytest.mark.parametrize(("value", "empty"), [("-", True), ("MISSING", True), (-999, True), (-999.0, True), ("nan", True), (0, False), ("-1", False), ({}, False), ([], False)])  # fmt: skip
def test_a_mapping_names_more_words_for_no_value(value, empty):
    assert is_empty(value, words_for_none(["-", "missing", -999])) is empty
    assert is_empty(value) is (value == "nan")


@pytest.mark.parametrize(("value", "empty"), [(None, True), ("", True), ("NaN", True), ("nan", True), (math.nan, True), (0, False), (0.0, False), ("0", False), (False, False), ([], False), (" ", True)])  # fmt: skip
def test_no_value_is_told_from_a_zero(value, empty):
    assert is_empty(value) is empty


def test_json_in_text_is_read_where_it_is_an_object_or_a_list():
    assert parsed(' {"a": [1]}') == {"a": [1]}
    assert parsed("[1, 2]") == [1, 2]
    assert [parsed(t) for t in ("1", '"x"', "null", "{", "[" * 100_000, "")] == [None] * 6
