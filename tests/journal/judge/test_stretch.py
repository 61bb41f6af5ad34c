"""What stretches add up to: the coverage of time from counts of steps is that of the steps themselves."""

from collections import Counter
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from journal.judge.stretch import SUMS, Stretch, Times, total

STEPS = st.lists(st.integers(1, 40), min_size=2, max_size=30)


def stretch(n, steps, **sums):
    times = {"ng7": Times(0, sum(steps), len(steps) + (n == 0), dict(Counter(steps)))}
    return Stretch(1, 0, n, n, dict.fromkeys(SUMS, 0) | sums, None, None, None, {"scans": 1, "acb": n}, times, [])


@given(steps=STEPS, cut=st.integers(0, 30))
def test_time_is_covered_as_the_steps_say_however_they_are_cut(steps, cut):
    c = median(steps)
    gaps = [step for step in steps if step > 2 * c]
    found = total([stretch(0, steps[:cut]), stretch(1, steps[cut:])], ["acb"])
    assert found["time_coverage"] == 1.0 - sum(step - c for step in gaps) / sum(steps)
    assert (found["scan_gaps"], found["longest_silence_ms"]) == (len(gaps), max(steps))
    assert found["unseen"] == {"scans": 2, "acb": 1}


def test_sums_are_sums_and_a_hash_wraps():
    found = total([stretch(0, [1], content_hash=2**64 - 1, lost=0), stretch(1, [1], content_hash=3, decisions=4)], [])
    assert (found["content_hash"], found["decisions"], found["top"]) == (2, 4, 0.0)
