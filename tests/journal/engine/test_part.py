"""Parts of an answer: cut out of one that is kept, for as long as somebody reads it."""

import pytest

from journal.engine import part
from journal.engine.part import Answers, Kept, wanted

BODY = bytes(range(100))


@pytest.mark.parametrize(
    ("header", "status", "body"),
    [
        ("bytes=0-3", 206, BODY[:4]),
        ("bytes=90-", 206, BODY[90:]),
        ("bytes=90-999", 206, BODY[90:]),
        ("bytes=-7", 206, BODY[-7:]),
        ("bytes=-999", 206, BODY),
        ("bytes=100-", 416, b""),
        ("bytes=5-4", 416, b""),
        ("bytes=-0", 416, b""),
    ],
)
def test_a_part_is_what_the_range_names(header, status, body):
    found = Kept(BODY, {"A": "b"}).cut(wanted(header))
    assert found[:2] == (status, body)
    assert found[2]["Content-Range"].endswith("/100")


@pytest.mark.parametrize(
    "header", ["", "bytes=", "bytes=a-b", "bytes=0-1,3-4", "items=0-1", "bytes=0-1x", "bytes=" + "9" * 30 + "-"]
)
def test_what_is_no_range_asks_for_everything(header):
    assert wanted(header) is None


def test_a_reading_that_goes_on_keeps_its_answer_and_the_next_gets_another(monkeypatch):
    answers, now = Answers(), [0.0]
    monkeypatch.setattr(part.time, "monotonic", lambda: now[0])
    answers.keep("q", Kept(BODY, {}))
    first = answers.find("q", is_new=True)  # two programs that read at one time
    assert first is answers.find("q", is_new=False) is not None
    now[0] += part.KEEP_S - 1
    first.cut((0, 100))
    assert answers.find("q", is_new=False) is first
    assert answers.find("q", is_new=True) is None
    now[0] += part.KEEP_S + 1
    assert answers.find("q", is_new=False) is None


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(part, "MOST_BYTES", 250)
    answers = Answers()
    for name in "abc":
        answers.keep(name, Kept(BODY, {}))
    answers.keep("d", Kept(BODY * 3, {}))
    assert [answers.find(name, is_new=False) is not None for name in "abcd"] == [False, True, True, False]
