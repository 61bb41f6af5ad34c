"""Rejects: how many of each code, and the records."""

from journal.judge.reject import by_code, of_code
from tests.strategies import encode, plane
from tests.written import begin


def test_rejects_are_counted_by_code_and_shown_from_the_first_on(store):
    one = begin(store)
    one.append([b"{", encode(plane("acb", {"scale": 1.0})), b"\xff[", b"y" * 300])
    counted = {row["code"]: (row["n"], row["first_offset"]) for row in by_code(store, one.run_id)}
    assert counted == {"MALFORMED": (3, 0), "PLANE_VALUE": (1, 1)}
    shown = of_code(store, one.run_id, "MALFORMED", 2)
    assert [(row["log_offset"], row["raw"], row["bytes"]) for row in shown] == [(0, "{", 1), (2, "\ufffd[", 2)]
    assert len(of_code(store, one.run_id, "MALFORMED", 9)[2]["raw"]) == 200
    assert of_code(store, one.run_id, "EMPTY", 9) == []
