"""One outcome: found by id or offset, with the planes that it saw, and parts that multiply to raw."""

import pytest

from journal.judge.explain import aged, at, explain, planes, waterfall
from journal.keep.retention import _record
from journal.ledger.pruned import Pruned
from journal.ledger.run import now
from journal.refusal import Refusal
from tests.strategies import START_MS, encode, plane, scan
from tests.written import MINUTE_MS, begin, decisions, every_kind


@pytest.fixture(scope="module")
def one(store):
    """13 outcomes of every kind, then a plane, a decision of the same stream, one of another, and a partition more."""
    written = begin(store, partitions=(0, 1))
    written.append(every_kind())
    late = {"scan_id": 50, "ts_ms": START_MS + 90_000}
    written.append([
        encode(plane("acb", {"boost": 1.5}, seq=4, ts_ms=START_MS + 30_000)), encode(plane("ob", {"mult": 1.1}, stream="alt")),
        encode(scan(**late)), encode(scan(**late, stream="alt")),
    ])  # fmt: skip
    written.append(decisions(1, first=60), partition=1)
    return written


def test_a_scan_is_found_by_its_id_and_shows_the_running_product(store, one):
    (row,) = explain(store, one.run_id, "2")
    assert (row["outcome"], row["log_offset"], row["stream"]) == ("decision", 9, "ng7")
    assert [step["part"] for step in row["steps"]] == ["base", "dc", "acb", "ob", "esof_fanin"]
    assert row["steps"][0]["product"] == row["base"] == 8.0
    assert row["steps"][-1]["product"] == row["raw"]
    assert explain(store, one.run_id, "3")[0]["outcome"] == "evaluation"


def test_a_scan_of_two_streams_wants_a_name(store, one):
    with pytest.raises(Refusal, match="scan 50 is in the streams alt, ng7; fix: --stream NAME"):
        explain(store, one.run_id, "50")
    (row,) = explain(store, one.run_id, "50", stream="alt")
    assert row["log_offset"] == 16


def test_planes_are_those_of_the_stream_before_the_scan(store, one):
    (row,) = explain(store, one.run_id, "50", stream="ng7")
    seen = {each["name"]: each for each in row["planes"]}
    assert (seen["acb"]["at_offset"], seen["acb"]["seq"], seen["acb"]["age_s"]) == (13, 4, 60.0)
    assert seen["ob"]["at_offset"] < 13
    assert len(seen) == 7
    (alt,) = explain(store, one.run_id, "50", stream="alt")
    assert [each["name"] for each in alt["planes"]] == ["ob"]
    assert [each["name"] for each in planes(store, row, behind=12)] == ["acb"]
    assert planes(store, row, behind=13) == []
    (early,) = explain(store, one.run_id, "0")
    assert {each["at_offset"] for each in early["planes"]} == set(range(7))
    assert aged({"ts_ms": START_MS}, START_MS - MINUTE_MS)["age_s"] == -60.0


def test_an_offset_gives_whatever_is_there_in_each_partition(store, one):
    assert [row["outcome"] for row in explain(store, one.run_id, "@13")] == ["plane"]
    assert explain(store, one.run_id, "@11")[0]["code"] == "MALFORMED"
    both = explain(store, one.run_id, "@0")
    assert [(row["partition"], row["outcome"]) for row in both] == [(0, "plane"), (1, "decision")]
    assert [row["outcome"] for row in explain(store, one.run_id, "@0", partition=1)] == ["decision"]
    assert at(store, one.run_id, None, 0, ("reject", "plane"))[0]["outcome"] == "plane"


@pytest.mark.parametrize("what", ["x", "", "@", "-1", "1.0", "٣", "9223372036854775808", "99999999999999999999"])
def test_what_is_no_id_is_refused(store, one, what):
    with pytest.raises(Refusal, match="must be a scan id such as 1234, or @OFFSET such as @5678"):
        explain(store, one.run_id, what)


def test_what_is_not_there_is_refused_and_what_was_dropped_is_told(store, one):
    for what in ("777", "@17", "9223372036854775807"):
        with pytest.raises(Refusal, match=f"no outcome for {what}; fix"):
            explain(store, one.run_id, what)
    copy = one.copied("planes", without="log_offset <= 12")
    _record(store, copy.run_id, Pruned("t", 0, 12, now(), 7, 2))
    with pytest.raises(Refusal, match=r"no outcome for @4 \(planes up to offset 12 were dropped by age\); fix"):
        explain(store, copy.run_id, "@4", partition=0)
    with pytest.raises(Refusal, match="no outcome for @40; fix"):
        explain(store, copy.run_id, "@40")
    with pytest.raises(Refusal, match="no outcome for @4; fix"):
        explain(store, copy.run_id, "@4", partition=1)
    assert explain(store, copy.run_id, "2")[0]["planes_dropped_up_to"] == 12
    assert explain(store, copy.run_id, "60")[0]["planes_dropped_up_to"] is None


def test_parts_that_do_not_give_raw_are_refused():
    row = {"base": 2.0, "dc": 1.1, "acb": 1.0, "ob": 1.0, "esof_fanin": 0.5, "log_offset": 7}
    assert waterfall(row | {"raw": 2.0 * 1.1 * 1.0 * 1.0 * 0.5})["steps"][1]["product"] == 2.2
    with pytest.raises(Refusal, match="offset 7: the parts give 1.1, raw is 1.1000000000000003; run `violet verify`"):
        waterfall(row | {"raw": 1.1000000000000003})
