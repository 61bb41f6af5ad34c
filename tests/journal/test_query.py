"""Saved queries: each file says what it answers, and a name that is nearly right is offered."""

import pytest

from journal.query import _query, find, saved
from journal.refusal import Refusal


def test_every_file_has_a_question_columns_and_a_source():
    found = saved()
    assert list(found) == sorted(found)
    for name, query in found.items():
        assert query.name == name
        assert all((query.question, query.columns, query.source))
        assert query.sql.startswith("-- ")
    assert find("clamps") == found["clamps"]


def test_a_name_that_is_nearly_right_is_offered():
    with pytest.raises(Refusal, match="no saved query 'clmps'; fix: did you mean 'clamps'?"):
        find("clmps")
    with pytest.raises(Refusal, match="no saved query 'zzzz'; fix: `violet sql --saved` lists them"):
        find("zzzz")


def test_a_head_may_run_over_lines_and_must_be_whole():
    head = "-- How many\n-- are there?\n-- Columns: n (count),\n--   share\n-- Source: the journal\nSELECT 1 -- one"
    query = _query("q", head.replace(" -- one", ""))
    assert (query.question, query.columns, query.source) == ("How many are there?", "n (count), share", "the journal")
    for missing in ("-- Columns: n (count),\n--   share\n", "-- Source: the journal\n"):
        with pytest.raises(
            ValueError, match=r"sql/queries/q.sql must begin with its question, Columns: and Source:, was"
        ):
            _query("q", head.replace(missing, ""))
