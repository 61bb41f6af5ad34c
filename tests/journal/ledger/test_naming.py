"""A run is named by id, prefix, name or `latest`; a query that reads several runs and names none is told so."""

import pytest

from journal.ledger.naming import KNOWN, SEVERAL, identify, over_several, scoped
from journal.refusal import Refusal
from tests.written import begin

RUNS = [
    {"run_id": "20260302T1", "name": "b"},
    {"run_id": "20260301T2", "name": "a"},
    {"run_id": "20260301T1", "name": "a"},
    {"run_id": "2025", "name": "20260301T1"},
]


@pytest.mark.parametrize(
    ("wanted", "run_id"),
    [
        (None, "20260302T1"), ("", "20260302T1"), ("latest", "20260302T1"),
        ("a", "20260301T2"),  # the latest of that name
        ("20260302", "20260302T1"), ("202603", None), ("2026030", None),
        ("20260301T1", "20260301T1"),  # an id, though another run has it for a name
        ("2025", "2025"), ("20", None), ("late", None), ("B", None),
    ],
)  # fmt: skip
def test_a_run_is_named_by_id_name_latest_or_a_prefix_of_one(wanted, run_id):
    if run_id is not None:
        assert identify(RUNS, wanted) == run_id
    else:
        with pytest.raises(Refusal, match="fix: name one of: 2026"):
            identify(RUNS, wanted)


def test_what_is_no_run_is_told_from_what_is_several():
    with pytest.raises(Refusal, match="no run 'x' in this journal; fix: name one of: 20260302T1, 20260301T2, "):
        identify(RUNS, "x")
    with pytest.raises(Refusal, match="run '20260301': 2 runs begin so; fix: name one of: 20260301T2, 20260301T1$"):
        identify(RUNS, "20260301")
    for wanted, words in ((None, "no run in this"), ("latest", "no run 'latest' in this"), ("x", "no run 'x' in this")):
        with pytest.raises(Refusal, match=f"{words} journal.*none: soak first"):
            identify([], wanted)


@pytest.mark.parametrize(
    ("query", "runs", "told"),
    [
        ("SELECT count() FROM decisions", 2, True),
        ("SELECT count() FROM decisions", 1, False),
        ("SELECT * FROM lane_readings AS l JOIN batches AS b USING (stream)", 2, True),
        ("SELECT count() FROM runs", 2, False),
        ("SELECT 1", 2, False),
        ("SELECT trade_id FROM blue_trades", 2, False),
    ],
)
def test_a_query_over_several_runs_that_names_none_is_told_so(query, runs, told):
    assert not scoped(query)
    words = over_several(query, runs, ["decisions", "batches", "lane_readings"])
    assert bool(words) is told
    assert not told or "reads the rows of all 2; fix: WHERE run_id = {run:String}" in words


@pytest.mark.parametrize(
    "query",
    ["SELECT * FROM decisions WHERE RUN_ID = 'x'", "SELECT {run:String}", "SELECT run_id, count() FROM d GROUP BY 1"],
)
def test_a_query_that_speaks_of_runs_is_left_alone(query):
    assert scoped(query)


def test_the_journal_knows_its_runs_and_which_tables_have_rows_of_several(store):
    older, newer = begin(store, name="of-naming").run_id, begin(store, name="of-naming").run_id
    known = store.rows(KNOWN)
    assert identify(known, "of-naming") in (older, newer)
    (found,) = store.rows(SEVERAL)
    assert found["runs"] >= 2
    assert {"decisions", "evaluations", "batches", "lane_readings", "incidents", "days"} <= {*found["tables"]}
    assert {"runs", "blue_trades"} & {*found["tables"]} == set()
