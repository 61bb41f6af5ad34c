"""Shown: the same text, in printable letters."""

import json

from journal.shown import as_json, shown

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eabc\x7f\n\t\u2028 ü"


def test_all_that_is_not_printable_is_spelled_out_but_what_is_kept():
    assert shown(HOSTILE).isprintable()
    assert shown("a\nb\tc\x1b", keep="\n") == "a\nb\\tc\\x1b"
    assert shown("ünï [/i]") == "ünï [/i]"


def test_json_says_the_same_in_printable_letters():
    text = as_json({HOSTILE: [HOSTILE, 1.5, None]})
    assert text.isprintable()
    assert json.loads(text) == {HOSTILE: [HOSTILE, 1.5, None]}
