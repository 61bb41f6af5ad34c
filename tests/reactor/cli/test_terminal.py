"""The terminal of a soak: what people see of it while it runs, and its summary."""

import pytest

from lanes.code import Mode, Outcome
from reactor.cli import terminal as module
from reactor.cli.terminal import Terminal, print_summary


class Batch:
    """So many rows of each kind."""

    def __init__(self, *counts):
        self.rows = {kind: range(count) for kind, count in zip(Outcome, counts, strict=True)}


class Observers:
    """Keeps what it is told, in order."""

    def __init__(self):
        self.calls = []
        self.events = self

    def __getattr__(self, name):
        return lambda *given: self.calls.append((name, *given))


@pytest.fixture
def terminal(monkeypatch):
    """A terminal whose lines come at once, before it printed any."""
    monkeypatch.setattr(module, "LOOK_S", -1.0)
    made = Terminal("dark", Observers())
    yield made
    made.rest()


def said(capsys):
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("total", "of"), [(30, " of 30"), (None, "")])
def test_progress_on_a_pipe_is_a_line_with_the_sum_of_all_batches(terminal, capsys, total, of):
    terminal.expect(total, 0)
    terminal.batch(Batch(3, 4, 2, 1))
    terminal.batch(Batch(1, 0, 0, 4))
    assert f"dark: 15{of} records, 4 decisions, 5 rejects" in said(capsys)
    assert [name for name, *_ in terminal.observers.calls] == ["batch", "batch"]


def test_a_resume_says_behind_what(terminal, capsys):
    terminal.expect(10, 90)
    assert "resuming: 90 records are journaled already" in said(capsys)


def test_a_halt_is_said_and_another_mode_is_the_observers_to_tell(terminal, capsys):
    terminal.mode(Mode.DEGRADED, "the disk is 90% full")
    assert said(capsys) == ""
    terminal.mode(Mode.HALTED, "two and two are five")
    assert "HALTED: two and two are five" in said(capsys)
    assert terminal.observers.calls == [("mode", Mode.DEGRADED), ("mode", Mode.HALTED)]


def test_a_closed_day_is_a_line_and_an_event(terminal, capsys):
    terminal.upkeep("dropped by age: up to 9")
    assert "dropped by age: up to 9" in said(capsys)
    assert terminal.observers.calls == [("upkeep", "dropped by age: up to 9")]


def test_what_is_observed_is_passed_on(terminal):
    terminal.incident("an incident")
    terminal.lane_done("acb")
    terminal.look()
    assert terminal.observers.calls == [("incident", "an incident"), ("lane_done", "acb"), ("look",)]


def test_the_summary_ends_in_the_verdict_and_what_it_rests_on(capsys):
    names = (
        "run_id", "state", "profile", "records", "decisions", "evaluations", "planes", "rejects", "lost", "doubled", "corrupt",
        "skipped", "coverage", "time_coverage", "scan_gaps", "longest_silence_ms", "orders", "content_hash", "math_fingerprint", "trust",
    )  # fmt: skip
    clause = {"verdict": "HOLD", "name": "decisions", "formula": "count", "figure": 7, "bound": ">= 100"}
    print_summary(
        dict.fromkeys(names, "x")
        | {
            "verdict": "HOLD",
            "verdict_basis": "broker",
            "pruned": [],
            "coverage": None,
            "segments": [{"segment": 2, "clauses": [clause | {"figure": None}, clause]}],
        }
        | {"taps": {"acb": {"sent": 5, "dropped": 1}}}
    )
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [line.split()[0] for line in lines[: len(names)]] == list(names)
    assert "coverage  no data" in lines
    assert lines[-4:] == [
        "tap acb  5 readings sent, 1 dropped",
        "segment 2  HOLD: decisions (count) has no data, must be >= 100",
        "segment 2  HOLD: decisions (count) is 7, must be >= 100",
        "HOLD (broker)",
    ]
