"""Documents: rows of an array, and rows under a key, whatever the shape around them."""

import json
import math

import pytest

from journal.refusal import Refusal
from reactor.feed import table

ROWS = [{"a": 1, "b": {"c": None}}, {"a": 2, "b": {"c": "x"}}]


@pytest.fixture
def read(tmp_path):
    def read(text, *paths, name="x.json"):
        (tmp_path / name).write_text(text if isinstance(text, str) else json.dumps(text, indent=1))
        return list(table.rows(tmp_path / name, table.Layout(rows=tuple(tuple(p.split(".")) for p in paths))))

    return read


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    ("wrap", "path"),
    [
        (lambda rows: {"trades": rows, "n": 2}, "trades"),
        (lambda rows: {"s": {"Mine": {"trades": rows, "locks": []}}}, "s.*.trades"),
        (lambda rows: {"s": {"Mine": {"trades": rows}, "Other": {"trades": []}}}, "s.Mine.trades"),
        (lambda rows: {"pages": [{}, {"rows": rows}]}, "pages.1.rows"),
        (lambda rows: rows, "trades"),
        (lambda rows: {"t": {"a": [1, 2], "b": [row["b"] for row in rows]}}, "t"),
    ],
)
def test_rows_under_a_key(read, wrap, path, indent):
    found = read(json.dumps(wrap(ROWS), indent=indent), "nosuch", path)
    assert [row.fields for row in found] == ROWS
    assert [row.place for row in found] == ["row 1", "row 2"]
    assert [json.loads(row.raw) for row in found] == ROWS


def test_lines_that_each_hold_rows(read):
    text = "\n".join(json.dumps({"trades": [row]}) for row in ROWS) + "\n{\n"
    found = read(text, "trades", name="x.jsonl")
    assert [row.fields for row in found[:2]] == ROWS
    assert (found[2].place, found[2].fault[:20]) == ("line 3", "the line is not JSON")


def test_an_array_that_python_wrote(read):
    (row,) = read('[{"a": NaN, "b": Infinity, "c": 1e400}]')
    assert math.isnan(row.fields.pop("a"))
    assert row.fields == {"b": "Infinity", "c": "1e400"}


def test_one_object_over_several_lines_is_a_row(read):
    assert [row.fields for row in read(ROWS[0])] == ROWS[:1]


def test_lists_are_rows_by_their_places(read):
    assert [row.fields for row in read("[[1, 2.5], [3, 4.5]]")] == [{"0": 1, "1": 2.5}, {"0": 3, "1": 4.5}]
    (row,) = read("[5]")
    assert row.fault == "the row must be a JSON object, was int"


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ({"trades": ROWS}, "rows", 'has no rows in "rows"; it has trades; fix: correct `rows`'),
        (
            {"s": {"A": {"t": ROWS}, "B": {"t": ROWS}}},
            "s.*.t",
            "`*` of `rows` is for one key, here are 'A', 'B'; fix: ",
        ),
        ('{\n "a": 1,\n "b": }', "trades", "must be one JSON document"),
        ("[{", "trades", "must be one JSON array of objects"),
        ({"trades": []}, "trades", "must hold at least one row, was empty"),
    ],
)
def test_a_document_without_rows_there_is_refused(read, text, path, said):
    with pytest.raises(Refusal) as refusal:
        read(text, path)
    assert said in str(refusal.value)
    assert "fix: " in str(refusal.value)
