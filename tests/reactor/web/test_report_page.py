"""The report's file: the verdict first, nothing that speaks or asks, and no figure of a comparison that is not valid."""

import re

import pytest

from journal.blue.verdict import INVALID
from reactor.web.report_page import not_proved, report_page, table

HOSTILE = "<script>alert(1)</script>\u202e"
NO_CURVE = {"n": 0, "pearson": None, "max_abs_err": None, "steps": []}
FIGURES = {
    "curve": NO_CURVE, "conviction": {}, "lanes": [], "buckets": [], "recovery": [], "pairs": {"n": 2, "sensitivity": {"60000": 2}},
    "unpaired": {}, "quiet": [], "noise_floor": {"delay": {"n": 1, "explained": 0}}, "classes": [
        {"class": "LOGIC", "class_where": ["dc"], "n": 1, "usd": 12.5, "allowed": 0, "class_group": "STATE_MACHINE", "max_abs_err": 0.1},
    ],
}  # fmt: skip


def measure(name, verdict, **fields):
    return {"name": name, "verdict": verdict, "n": 2, "figure": 0, "above": 0, "margin": 0, "low": None, "high": None, "method": "count",
            "needed": 0, "why": "", **fields}  # fmt: skip


def report(compare=None, **run):
    plain = {
        "run_id": "r1", "name": HOSTILE, "verdict": "PASS", "verdict_basis": HOSTILE, "decisions": 7, "lost": 0, "doubled": 0,
        "corrupt": 0, "orders": 0, "standin_lanes": ["dc"], "trust": "HOLD", "profile": "blue_8b", "state": "ENDED",
        "content_hash": "c0", "math_fingerprint": "f", "records": 9, "evaluations": 2, "planes": 0, "rejects": 0, "coverage": 1.0,
        "time_coverage": None, "scan_gaps": 0,
    }  # fmt: skip
    clauses = [{"segment": 1, "name": "coverage", "formula": "f", "figure": 0.5, "bound": ">= 0.95", "verdict": "HOLD",
                "by_construction": False}]  # fmt: skip
    return {
        "run": plain | run, "trust": {"status": "HOLD", "words": "HOLD (needs x)"}, "clauses": clauses, "window": {"scans": 9, "first_ms": 0, "last_ms": 60_000}, "conviction": [],
        "lanes": [], "bounds": [], "over_time": [], "compare": compare, "studies": {"margin": []},
    }  # fmt: skip


def compared(verdict, *measures, **fields):
    return {
        "compare_id": "c1", "contract_hash": "ab" * 32, "label": "STAND-IN", "verdict": verdict, "is_over": True, "pairs": 2,
        "trades": 2, "from_ms": 0, "to_ms": 60_000, "measures": list(measures), "figures": FIGURES, "document": HOSTILE, "anchored_ms": 1, "is_before": False,
        "clauses": [{"name": HOSTILE, "holds": verdict != INVALID, "agreed": 1, "ours": None, "theirs": [1]}],
        "attribution": [{"term": "dc", "nominal": -0.5, "effective": None}], "statuses": [{"status": "ATTRIBUTED", "pairs": 2}],
        "largest": [], **fields,
    }  # fmt: skip


def first(made):
    """The words of the first screen."""
    return re.sub(r"<[^>]+>", " ", made.partition('<div class="verdict')[2].partition("<section")[0])


@pytest.mark.parametrize(
    ("compare", "words"),
    [
        (compared("PASS", measure("unpaired", "PASS")), ("PASS", "size alike", "STAND-IN", "It can never earn trust", "Trust: HOLD (needs x).")),
        (
            compared("PASS", measure("leverage", "PASS", figure=0.2), figures=FIGURES | {"noise_floor": {"delay": {"n": 2, "explained": 2}}}),
            ("PASS", " 2  pairs differ within the noise floor, as planes one scan late would make them: not judged", "of it  0  above the noise floor"),
        ),
        (compared("FAIL", measure("unpaired", "FAIL")), ("FAIL", "do not size alike", "trades without a decision", "LOGIC in dc")),
        (compared("HOLD", measure("leverage", "HOLD", needed=1583)), ("HOLD", "cannot be told yet", "About 1,583 pairs more")),
        (compared("HOLD", measure("leverage", "HOLD", needed=None)), ("nobody knows how many pairs more",)),
        (compared("PASS", is_over=False), ("verdict so far", "The contract was made after the window opened")),
    ],
)  # fmt: skip
def test_the_first_screen_says_the_verdict_and_what_was_not_proved(compare, words):
    said = first(report_page(report(compare)))
    for each in (*words, "BLUE&#x27;s own code is not here: 1 lanes (dc)", "no order was sent"):
        assert each in said


def test_a_comparison_that_is_not_valid_shows_no_figure():
    made = report_page(report(compared(INVALID, figures={}, measures=[], attribution=[], statuses=[])))
    assert "is not valid, so it shows no figure" in first(made)
    assert "Because of: &lt;script&gt;" in made
    assert "broken clauses:" in first(made)
    assert "agreed 1, theirs [1]" in first(made)
    assert " pairs of " not in first(made)
    for gone in ("Measures", "Why they differ", "Curves", "Pairs"):
        assert f"<h2>{gone}</h2>" not in made
    assert "<h2>Contract</h2>" in made


def test_a_soak_alone_says_so():
    said = first(report_page(report(verdict="HOLD")))
    assert "It cannot be told whether the soak is sound" in said
    assert "Because of: coverage." in said
    assert "Nothing is compared with BLUE here." in not_proved(report())


def test_the_file_asks_nobody_and_runs_nothing():
    made = report_page(report(compared("FAIL", measure("unpaired", "FAIL"))))
    assert "default-src 'none'; style-src 'unsafe-inline'" in made
    assert "<script" not in made
    assert "\u202e" not in made
    assert not re.search(r"\b(?:src|srcset|action|data-src|xlink:href)=|url\(|@import", made)
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', made))
    assert {link[1:] for link in re.findall(r'href="(#[^"]*)"', made)} == set(
        re.findall(r'<section id="([^"]*)"', made)
    )


def test_a_table_has_a_dash_for_what_is_not_known_and_all_digits_of_what_is():
    made = table([{"figure": 0.1, "name": HOSTILE, "n": 3, "verdict": "HOLD", "none": None}])
    assert re.findall(r"<th(?: class=n)?>(.+?)</th>", made) == ["name", "verdict", "none", "n", "figure"]
    assert '<data value="0.1">0.1</data>' in made
    assert "<td class=HOLD>HOLD</td>" in made
    assert "<td>&ndash;</td>" in made
    assert table([], "Pairs") == "<p class='dim'>Pairs: none.</p>"


def test_trust_that_is_granted_is_what_it_rests_on():
    granted = report(compared("PASS")) | {"trust": {"status": "GRANTED", "words": "GRANTED (3 cycles)"}}
    assert "trust: GRANTED (3 cycles)" in first(report_page(granted))
    assert not [each for each in not_proved(granted) if each.startswith("Trust")]


def test_a_contract_from_before_the_window_is_not_doubted():
    assert not [each for each in not_proved(report(compared("PASS", is_before=True))) if "contract" in each]
