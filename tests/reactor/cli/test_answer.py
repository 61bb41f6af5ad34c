"""The answer to a query, as people see it at any width."""

import re

import pytest

from reactor.cli import answer

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
DECISION = {
    "run_id": ("String", "20261128T165740-40d6f3"), "segment": ("UInt32", "1"), "topic": ("String", "violet.scans"),
    "log_offset": ("Int64", "152"), "scan_id": ("UInt64", "66"), "ts": ("DateTime64(3, 'UTC')", "2025-01-06 01:56:00.000"),
    "ts_ms": ("Int64", "1736128560000"), "asset": ("LowCardinality(String)", "ETCUSDT"), "side": ("String", "SHORT"),
    "vel_div": ("Float64", "-0.023973437846"), "w750": ("Nullable(Float64)", answer.NULL),
    "dc_status": ("Enum8('NEUTRAL' = 0)", "NEUTRAL"), "base": ("Float64", "0.5174251"), "dc": ("Float64", "1.1"),
    "acb": ("Float64", "1.000462"), "ob": ("Float64", "0.8500000000000001"), "bound": ("String", "PRODUCT"),
    "leverage": ("Float64", "0.5466549999999999"), "leverage_bits": ("UInt64", "4603038340184182784"),
    "notional_usd": ("Float64", "2733.27"), "reasons": ("Array(String)", "[]"), "empty": ("String", ""),
}  # fmt: skip


def asked(rows):
    meta = [{"name": name, "type": kind} for name, (kind, _) in DECISION.items()]
    return {"meta": meta, "data": [[cell for _, cell in DECISION.values()] for _ in range(rows)]}


@pytest.fixture
def said(monkeypatch, capsys):
    def ask(found, width, **how):
        monkeypatch.setenv("COLUMNS", str(width))
        answer.print_table(found, is_wide=False, **how)
        return COLOUR.sub("", capsys.readouterr().out).splitlines()

    return ask


@pytest.mark.parametrize("width", [80, 120, 200])
def test_decisions_fit_and_what_is_left_out_is_said_in_a_line(said, width):
    lines = said(asked(3), width)
    assert all(len(line) <= width for line in lines)
    assert len(lines) == 2 + 3 + 2
    head = lines[0].split()
    assert {"ts", "scan_id", "asset", "leverage", "notional_usd", "bound"} <= set(head)
    assert lines[2].split() == lines[3].split()
    assert "2025-01-06 01:56:00" in lines[2]
    assert "0.546655 " in lines[2]
    assert lines[5].startswith("3 rows, without ")
    assert lines[5].endswith("; --wide or --vertical shows all")
    assert lines[6].startswith("numbers are rounded; ")
    assert ("dc" in head) == (width >= 120)
    assert "empty" not in head or width == 200


def test_wider_is_never_less(said):
    heads = [set(said(asked(2), width)[0].split()) for width in (80, 120, 200)]
    assert heads[0] < heads[1] < heads[2]


def test_one_row_that_does_not_fit_is_shown_a_line_a_value_with_every_digit(said):
    lines = said(asked(1), 120)
    assert lines[0].startswith("── row 1 ")
    assert len(lines) == 1 + len(DECISION)
    assert "ob             0.8500000000000001" in lines
    assert "w750           NULL" in lines


def test_wide_shows_all_columns_in_lines_of_any_length(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    answer.print_table(asked(2), is_wide=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == list(DECISION)
    assert lines[4] == "2 rows"


def test_a_pipe_of_no_known_width_gets_all_columns(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("sys.__stdout__", None)
    answer.print_table(asked(2), is_wide=False)
    assert capsys.readouterr().out.splitlines()[0].split() == list(DECISION)


def test_text_of_a_record_says_nothing_to_the_terminal(said):
    found = {"meta": [{"name": "a\x1b[2J", "type": "String"}], "data": [["b\x1b[2J"]]}
    assert "\x1b" not in "".join(said(found, 80))
