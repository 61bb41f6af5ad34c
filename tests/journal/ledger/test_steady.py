"""The clock of what is written: a jump of the wall clock moves nothing until it has stood still."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from journal.ledger.steady import STILL_S, Clock

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY_S = 86_400.0


class Machine:
    """A machine whose clocks a test turns."""

    def __init__(self):
        self.passed_s, self.off_s = 0.0, 0.0
        self.clock = self.another()

    def another(self, boot="b1"):
        """What another process has of it."""
        return Clock(lambda: START.timestamp() + self.passed_s + self.off_s, lambda: 7.0 + self.passed_s, boot)

    def after(self, seconds, step=5.0):
        """The clock's time, in seconds since the start, after so many more; it is asked at every step of them."""
        end = self.passed_s + seconds
        while self.passed_s < end:
            self.passed_s = min(end, self.passed_s + step)
            now = self.clock.now()
        return (now - START) / timedelta(seconds=1)


@pytest.fixture
def machine():
    return Machine()


@pytest.mark.parametrize("jump_s", [400 * DAY_S, -60 * DAY_S, 3.0, -3.0])
def test_a_jump_that_does_not_last_moves_nothing(machine, jump_s):
    assert machine.after(10) == pytest.approx(10)
    machine.off_s = jump_s
    assert machine.after(12) == pytest.approx(22)
    assert machine.clock.take_jump() == pytest.approx(jump_s)
    machine.off_s = 0.0
    assert machine.after(STILL_S * 2) == pytest.approx(22 + STILL_S * 2)


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S])
def test_a_clock_that_was_set_is_believed_when_it_has_stood_still(machine, jump_s):
    machine.off_s = jump_s
    assert machine.after(STILL_S) == pytest.approx(STILL_S)
    assert machine.after(10) == pytest.approx(STILL_S + 10 + jump_s)


def test_a_clock_that_jumps_again_and_again_is_not_believed(machine):
    for n in range(1, 20):
        machine.off_s = n * DAY_S
        assert machine.after(STILL_S / 2) == pytest.approx(n * STILL_S / 2)


def test_a_clock_that_is_turned_slowly_is_followed_and_does_not_jump(machine):
    for n in range(1, 500):
        machine.off_s = n * 2.5e-3
        assert machine.after(5) == pytest.approx(n * 5 + machine.off_s)
    assert machine.clock.take_jump() is None


def test_a_jump_is_told_once(machine):
    machine.off_s = DAY_S
    machine.after(5)
    assert machine.clock.take_jump() == pytest.approx(DAY_S)
    machine.after(60)
    assert machine.clock.take_jump() is None


def test_the_clock_of_this_machine_tells_its_time():
    assert abs(Clock().now().timestamp() - time.time()) < 1.0


def test_a_clock_is_sure_when_it_has_stood_still_since_the_start_and_since_a_jump(machine):
    assert not machine.clock.is_sure
    machine.after(STILL_S)
    assert machine.clock.is_sure
    machine.off_s = DAY_S
    assert not machine.clock.is_sure
    machine.after(STILL_S)
    assert machine.clock.is_sure


def test_a_clock_that_is_back_after_a_jump_is_sure_only_when_it_stood_still_again(machine):
    machine.after(STILL_S)
    machine.off_s = DAY_S
    machine.after(12)
    machine.off_s = 0.0
    assert not machine.clock.is_sure
    machine.after(STILL_S)
    assert machine.clock.is_sure


def test_the_next_soak_knows_the_clock_for_as_long_as_the_machine_runs(machine, tmp_path):
    path = tmp_path / "clock.json"
    machine.after(STILL_S)
    machine.clock.keep(path)
    machine.passed_s += DAY_S * 30
    again = machine.another()
    again.begin(path, START)
    assert again.is_sure
    for boot in ("other", ""):
        other = machine.another(boot)
        other.begin(path, START)
        assert not other.is_sure
    path.write_bytes(b"spoilt")
    spoilt = machine.another()
    spoilt.begin(path, START)
    assert not spoilt.is_sure
    assert [*tmp_path.iterdir()] == [path]


def test_a_jump_between_two_soaks_moves_no_stamp_and_is_told(machine, tmp_path):
    path = tmp_path / "clock.json"
    machine.after(STILL_S)
    machine.clock.keep(path)
    machine.passed_s += 60
    machine.off_s = 400 * DAY_S
    again = machine.another()
    again.begin(path, START)
    assert (again.now() - START) / timedelta(seconds=1) == pytest.approx(STILL_S + 60)
    assert (again.take_jump(), again.is_sure) == (pytest.approx(400 * DAY_S), False)


def test_a_clock_that_is_behind_the_journal_s_last_word_goes_on_from_there(machine, tmp_path):
    machine.clock.begin(tmp_path / "none", START + timedelta(days=2))
    assert machine.after(10) == pytest.approx(2 * DAY_S + 10)
    assert machine.clock.take_jump() == pytest.approx(-2 * DAY_S)
    assert machine.after(STILL_S - 20) == pytest.approx(2 * DAY_S + STILL_S - 10)
    assert machine.after(20) == pytest.approx(STILL_S + 10)
    assert machine.clock.is_sure
    machine.clock.begin(tmp_path / "none", START + timedelta(days=2))  # the last word was wrong: this clock is sure
    assert machine.after(10) == pytest.approx(STILL_S + 20)
