"""What a run was asked, and what a resume may ask anew: another end ahead is taken, all else is refused or the same."""

from dataclasses import replace

import pytest

from journal.ledger.ledger import Position
from journal.refusal import Refusal
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import advance
from reactor.run.asked import asked, asked_again, until, until_again
from reactor.run.settings import load
from tests.reactor.run.test_session import RULES, RUN, Source, at
from tests.strategies import START_MS, encode, scan

OPEN = replace(RUN, asked={"from": "earliest", "until": None, "absent": []})
BOUND = replace(RUN, until={"ends": {"0": 30, "1": 20}}, asked={"from": "7", "until": "30", "absent": []})
OLD = replace(RUN, until={"ends": {"0": 30, "1": 20}})  # of a version that did not keep what was asked


def settings(**flags):
    return load(flags, environ={})


def stands(last, doubt=None):
    """A partition of scans a second apart, as far as an offset."""
    state = State()
    lines = [encode(scan(scan_id=n, ts_ms=START_MS + 1_000 * n)) for n in range(last + 1)]
    if lines:
        advance(state, Chunk(0, list(range(last + 1)), lines), RULES, Decoder())
    return Position(last, state.dump(), doubt, "", 1)


@pytest.mark.parametrize(
    ("flags", "finite", "expected"),
    [
        ({}, False, {}),
        ({}, True, {"ends": {"0": 100, "1": 20}}),
        ({"until": "end"}, False, {"ends": {"0": 100, "1": 20}}),
        ({"until": "30"}, False, {"ends": {"0": 30, "1": 30}}),
        ({"until": "30"}, True, {"ends": {"0": 30, "1": 20}}),
        ({"until": at(5)}, False, {"ts_ms": START_MS + 5_000, "ends": {}}),
        ({"until": at(5)}, True, {"ts_ms": START_MS + 5_000, "ends": {"0": 100, "1": 20}}),
    ],
)
def test_a_run_ends_where_it_is_told_to_and_a_finite_log_where_it_ends(flags, finite, expected):
    assert until(settings(**flags), Source(finite=finite)) == expected


@pytest.mark.parametrize("run", [BOUND, OLD], ids=["asked", "unknown"])
@pytest.mark.parametrize("flags", [{}, {"until": "30"}], ids=["nothing", "the same"])
def test_the_same_command_changes_no_end(run, flags):
    assert until_again(settings(**flags), Source(), run, {0: stands(29)}) == run.until


def test_an_end_is_that_of_the_start_though_the_log_grew():
    run = replace(RUN, until={"ends": {"0": 30, "1": 20}}, asked={"from": "earliest", "until": "end"})
    assert until_again(settings(until="end"), Source(), run, {0: stands(9)}) == run.until


@pytest.mark.parametrize(
    ("run", "flag", "expected"),
    [
        (OPEN, "end", {"ends": {"0": 100, "1": 20}}),
        (OPEN, "60", {"ends": {"0": 60, "1": 60}}),
        (OPEN, at(50), {"ts_ms": START_MS + 50_000, "ends": {}}),
        (BOUND, "60", {"ends": {"0": 60, "1": 60}}),
        (BOUND, "end", {"ends": {"0": 100, "1": 20}}),
        (replace(RUN, until={}), "60", {"ends": {"0": 60, "1": 60}}),  # of an older version, without an end
    ],
)
def test_another_end_that_lies_ahead_is_taken(run, flag, expected):
    assert until_again(settings(until=flag), Source(), run, {0: stands(29)}) == expected


@pytest.mark.parametrize(
    ("flag", "position"),
    [("10", stands(29)), ("29", stands(29)), (at(10), stands(29)), (at(29), stands(29)), ("40", stands(29, (30, 45)))],
)
def test_an_end_that_the_run_has_passed_is_refused(flag, position):
    with pytest.raises(Refusal, match="has journaled partition 0 up to offset .*; fix: an end behind that") as refusal:
        until_again(settings(until=flag), Source(), OPEN, {0: position})
    assert f"--until {flag}: run r " in str(refusal.value)


def test_an_end_right_behind_what_is_journaled_is_one():
    assert until_again(settings(until="30"), Source(), OPEN, {0: stands(29)})["ends"]["0"] == 30
    assert until_again(settings(until=at(30)), Source(), OPEN, {0: stands(29)})["ts_ms"] == START_MS + 30_000


@pytest.mark.parametrize("flag", ["latest", "earliest", "8", at(3)])
def test_another_beginning_is_refused(flag):
    with pytest.raises(Refusal, match=r"run r began with --from 7, and a resume goes on .*; fix: leave --from away"):
        asked_again(settings(**{"from": flag}), BOUND)


@pytest.mark.parametrize("flags", [{}, {"from": "7"}])
def test_what_was_asked_is_kept_where_nothing_else_is(flags):
    assert asked_again(settings(**flags), BOUND) == BOUND.asked
    assert asked_again(settings(until="60"), BOUND)["until"] == "60"


def test_of_an_older_run_nobody_knows_where_it_was_told_to_begin():
    assert asked_again(settings(**{"from": "latest"}), OLD)["from"] == "latest"


def test_planes_that_blue_has_none_of_are_those_that_are_named_now(tmp_path):
    (tmp_path / "c.toml").write_text('[planes]\nabsent = ["ob", "acb"]\n', "utf-8")
    with_config = load({}, tmp_path / "c.toml", environ={})
    assert asked(with_config) == {"from": "earliest", "until": None, "absent": ["acb", "ob"]}
    assert asked_again(with_config, BOUND)["absent"] == ["acb", "ob"]
