"""Fuzzing: a small corpus, changed in every way that a byte or a word can be; hypothesis finds the least input that fails."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus"


def corpus(name):
    """The inputs of a file: one a line, with the escapes of Python."""
    lines = (CORPUS / name).read_text("utf-8").splitlines()
    return [line.encode().decode("unicode_escape").encode("latin-1") for line in lines]


def budgets(short, long):
    """The two runs of a fuzz test: one in the default suite, of a second or two, and a long one."""
    marks = [pytest.mark.slow, pytest.mark.timeout(600)]
    return pytest.mark.parametrize("examples", [short, pytest.param(long, marks=marks)])


@st.composite
def mutated(draw, seeds, words):
    """A seed after some changes: cut out, doubled, cut off and joined with another one, or with words and bytes put in."""
    raw = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(raw)))
        end = min(len(raw), at + draw(st.integers(0, 12)))
        put = draw(st.sampled_from(words) | st.binary(max_size=3) | st.just(raw[at:end] * 2) | st.sampled_from(seeds))
        raw = raw[:at] + put + raw[draw(st.sampled_from([at, end])) :]
    return raw


def fuzz(check, inputs, examples):
    """Give a check so many inputs; what fails is made small and shown."""
    quiet = settings(max_examples=examples, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    quiet(given(inputs)(check))()
