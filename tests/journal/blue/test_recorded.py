"""What BLUE recorded beside a trade: its forms, and one text for equal planes."""

import pytest

from journal.blue.recorded import NOTHING, RECORDED, recorded


def test_a_row_that_has_none_of_it_has_nothing_of_it():
    assert recorded({"trade_id": "t"}) == NOTHING
    assert list(recorded({})) == list(RECORDED) == list(NOTHING)
    assert recorded({"marks": [], "posture": None}) == NOTHING
    assert recorded({"planes": {}})["planes"] == recorded({"planes": "{}"})["planes"] == "{}"  # it saw none


def test_equal_planes_and_marks_are_equal_in_every_form():
    planes = {"b": {"value": {"y": 1.0, "x": 2.0}, "ts_ms": 5}, "a": {"ts_ms": 4, "value": {}}}
    text = '{"a":{"ts_ms":4,"value":{}},"b":{"ts_ms":5,"value":{"x":2.0,"y":1.0}}}'
    assert recorded({"planes": planes})["planes"] == recorded({"planes": text})["planes"] == text
    for marks in (["B", "A"], '["A", "B"]', "A, B", "B,A,"):
        assert recorded({"marks": marks})["marks"] == ["A", "B"]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("scan_id", 1 << 63, "scan_id must be between 0"), ("dc", float("nan"), "dc must be finite, was nan"),
        ("planes", "{", "planes must be an object"), ("planes", '{"a":{"value":{},"ts_ms":true}}', "planes must be"),
        ("marks", 5, "marks must be a list of texts"), ("marks", "[1]", "marks must be a list of texts"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(field, value, words):
    with pytest.raises(ValueError, match=words):
        recorded({field: value})
