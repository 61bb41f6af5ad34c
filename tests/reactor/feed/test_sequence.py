"""Sequence: one order whatever is read first, however much at a time, and nothing left out without a word."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.refusal import Refusal
from reactor.evaluate.record import Decoder, Fault
from reactor.feed import mapping, sequence, table
from reactor.feed.convert import BadRow
from reactor.feed.sequence import Sequencer
from reactor.standin.enrich import Enricher
from tests import shapes

T0 = 1_746_372_780_000
HEAD = """
[[source]]
name = "{name}"
feeds = "{feeds}"
stream = "ng7"
file = "{name}.jsonl"
[source.fields]
ts_ms = "t"
"""
FEEDS = {
    "acb": ("acb", 'boost = "x"\nseq = "n"\n'),
    "esof": ("esof", 'score = "x"\nseq = "n"\n'),
    "scans": ("scan", 'vel_div = "x"\nscan_id = "n"\nprices = "p"\n'),
    "mc": ("mc", 'scale = "x"\nseq = "n"\n'),
    "posture": ("posture", 'posture = "x"\nseq = "n"\n'),
    "acb2": ("acb", 'boost = "x"\nseq = "n"\n'),
}
SIX = "".join(HEAD.format(name=name, feeds=feeds) + fields for name, (feeds, fields) in FEEDS.items())


def feeds(seed, count=300):
    """Five plane feeds and a scan feed over the same time, each shuffled, with many times in common."""
    dice = random.Random(seed)
    out = {}
    for name in FEEDS:
        lines = [{"t": T0 + 1000 * dice.randrange(count), "n": n, "x": round(dice.random(), 6)} for n in range(count)]
        if name == "scans":
            lines = [{**line, "x": -line["x"], "p": {"BTCUSDT": 1.5}} for line in lines]
        out[name] = [json.dumps(line).encode() for line in lines]
    return out


def rows_of(lines):
    return lambda source: iter([table.object_row(n, raw) for n, raw in enumerate(lines[source.name], 1)])


def refuse(bad):
    raise AssertionError(bad)


def merged(toml, lines, folder, order=None, buffer_bytes=1 << 20, on_bad=refuse):
    sources = mapping.parse(toml)
    dice = random.Random(order)
    if order is not None:
        dice.shuffle(sources)
    sequencer = Sequencer(on_bad)
    return list(sequence.log(sources, rows_of(lines), sequencer, folder, buffer_bytes=buffer_bytes))


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    lines = feeds(3)
    return lines, merged(SIX, lines, tmp_path_factory.mktemp("six"))


def test_the_order_is_time_then_rank_then_position(six):
    lines, log = six
    names = list(FEEDS)
    expected = sorted(
        ((json.loads(raw)["t"], names.index(name), n) for name in names for n, raw in enumerate(lines[name])),
    )
    ranks = {}
    for at, (_, rank, n) in zip(log, expected, strict=True):
        found, theirs = json.loads(at), json.loads(lines[names[rank]][n])
        assert (found["ts_ms"], found.get("seq", found.get("scan_id"))) == (theirs["t"], theirs["n"])
        ranks.setdefault(rank, []).append(found)
    assert len(log) == 1800
    assert not any(isinstance(Decoder().decode(line), Fault) for line in log)


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([1, 700, 3_000, 20_000, 1 << 30]))
def test_the_same_bytes_whatever_is_read_first_and_however_much_at_a_time(six, tmp_path_factory, order, buffer_bytes):
    lines, log = six
    assert merged(SIX, lines, tmp_path_factory.getbasetemp(), order, buffer_bytes) == log


def test_many_runs_become_one_and_a_sorted_source_is_one_run(six, tmp_path, monkeypatch):
    lines, log = six
    monkeypatch.setattr(sequence, "RUNS_MAX", 3)
    created = []
    create = sequence._Runs._create
    monkeypatch.setattr(sequence._Runs, "_create", lambda self: created.append(self._rank) or create(self))
    assert merged(SIX, lines, tmp_path, buffer_bytes=1) == log
    assert len(created) > 300
    created.clear()
    in_order = {name: sorted(each, key=lambda raw: json.loads(raw)["t"]) for name, each in lines.items()}
    merged(SIX, in_order, tmp_path, buffer_bytes=1)
    assert sorted(created) == list(range(6))


def test_two_sources_with_equal_records_both_stay(tmp_path):
    lines = feeds(1, 20)
    lines["acb2"] = lines["acb"]
    log = merged(SIX, lines, tmp_path)
    assert sum(b'"acb"' in line for line in log) == 40


def test_a_row_that_does_not_fit_is_named_and_never_lost(tmp_path):
    lines = feeds(2, 20)
    lines["scans"][3] = b'{"t": 1746372780, "n": 1, "x": -1, "p": {"BTCUSDT": 1}}'
    lines["scans"][7] = b"{"
    lines["scans"][9] = b'{"t": 1746372780000, "n": 1, "x": -1, "p": {"BTC/USDT": 1}}'
    lines["posture"][0] = b'{"t": 1746372780000, "n": 1, "x": "%s"}' % (b"x" * 65)
    bad = []
    log = merged(SIX, lines, tmp_path, on_bad=bad.append)
    assert len(log) == 6 * 20 - 4
    assert [(b.source, b.line) for b in bad] == [("scans", 4), ("scans", 8), ("scans", 10), ("posture", 1)]
    for each, said in zip(
        bad, ('fix: unit = "s"', "not JSON", "a symbol must match ^[A-Z0-9._-]{1,32}$; fix: ", "OUT_OF_RANGE"),
        strict=True,
    ):  # fmt: skip
        assert said in each.said
    assert bad[0].raw == lines["scans"][3]


def test_a_source_that_gives_nothing_or_a_field_that_is_nowhere_is_refused(tmp_path):
    for toml, change, said in (
        (
            SIX,
            {"scans": [b"{}"]},
            "none of its 1 rows fits (1 do not, 0 passed over), the first is line 1: ts_ms: the row has no 't'",
        ),
        (SIX.replace('"p"', '"p"\nw750 = "w"'), {}, "'scans': no row has what fields.w750 is mapped to; fix: "),
        (SIX.replace('"acb.jsonl"', '"acb.jsonl"\nskip_without = ["y"]'), {}, "pass over all of its 5 rows; fix: "),
    ):
        with pytest.raises(Refusal) as refusal:
            merged(toml, feeds(1, 5) | change, tmp_path, on_bad=lambda bad: None)
        assert said in str(refusal.value)


GROUPED = """
[[source]]
feeds = "scan"
stream = "ft"
file = "x.jsonl"
group = true
[source.fields]
ts_ms = "t"
vel_div = "v"
prices = { key = "s", value = "p" }
"""


def long_rows():
    return [
        json.dumps({"t": T0 + 60_000 * n, "v": -n / 100, "s": symbol, "p": n + 1.5}).encode()
        for n in range(50)
        for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    ]


@settings(max_examples=20)
@given(st.randoms(use_true_random=False), st.sampled_from([1, 1000, 1 << 20]))
def test_rows_of_one_time_become_one_scan_however_they_lie(tmp_path_factory, dice, buffer_bytes):
    lines = long_rows()
    dice.shuffle(lines)
    log = merged(GROUPED, {"scan": lines}, tmp_path_factory.getbasetemp(), buffer_bytes=buffer_bytes)
    assert log == merged(GROUPED, {"scan": long_rows()}, tmp_path_factory.getbasetemp())
    found = [json.loads(line) for line in log]
    assert [f["ts_ms"] for f in found] == [T0 + 60_000 * n for n in range(50)]
    assert all(f["prices"] == dict.fromkeys(("BTCUSDT", "ETHUSDT", "SOLUSDT"), n + 1.5) for n, f in enumerate(found))


def test_rows_of_one_scan_that_disagree_are_bad(tmp_path):
    lines = long_rows()
    lines[4] = lines[4].replace(b'"v": -0.01', b'"v": -0.5')
    lines.append(lines[0].replace(b"1.5", b"7.5"))
    bad = []
    log = merged(GROUPED, {"scan": lines}, tmp_path, on_bad=bad.append)
    assert len(log) == 50
    assert [b.line for b in bad] == [151, 5]
    assert "BTCUSDT has two prices at one time, 1.5 and 7.5" in bad[0].said
    assert "vel_div is -0.01 and -0.5 in the rows of one scan; fix: map `stream`" in bad[1].said


def test_enriched_lines_are_those_of_the_enricher_in_the_order_of_the_log(tmp_path):
    lines = long_rows()
    sources = mapping.parse(GROUPED)
    plain = merged(GROUPED, {"scan": lines}, tmp_path)
    enricher, twin = Enricher(frozenset({"irp", "dc"})), Enricher(frozenset({"irp", "dc"}))
    found = list(sequence.log(sources, rows_of({"scan": lines}), Sequencer(refuse), tmp_path, enricher))
    assert found == [sequence.enriched(twin, line) for line in plain]
    assert json.loads(found[-1])["irp"].keys() == {"BTCUSDT", "ETHUSDT", "SOLUSDT"}


def test_feeds_that_never_meet_are_noted(tmp_path):
    lines = feeds(1, 20)
    lines["esof"] = [b'{"t": 1846372780000, "x": 0.5, "n": 1}']
    sources, sequencer = mapping.parse(SIX), Sequencer(refuse)
    list(sequence.log(sources, rows_of(lines), sequencer, tmp_path))
    assert sequence.notes(sources, sequencer.tallies) == [
        "all of 'esof' lies after the scans; look at its unit and its zone"
    ]
    (no_source,) = sequence.notes([s for s in sources if s.feeds != "scan"], sequencer.tallies)
    assert no_source == "no source feeds scans; a soak of this log decides nothing"
    (no_row,) = sequence.notes(sources, {s.name: sequence.Tally(rows=3, set_aside=3) for s in sources})
    assert no_row == "no row became a scan; a soak of this log decides nothing"


@pytest.mark.parametrize(("make", "records"), [(shapes.nested, 280), (shapes.signals, 180)])
def test_foreign_shapes_map_whole(tmp_path, make, records):
    sources = mapping.parse(make(tmp_path).read_text())
    log = list(sequence.log(sources, lambda s: table.rows(tmp_path / s.file, s.layout), Sequencer(refuse), tmp_path))
    assert len(log) == records
    times = [json.loads(line)["ts_ms"] for line in log]
    assert times == sorted(times)


ANY = """
[[source]]
feeds = "scan"
file = "x.jsonl"
[source.fields]
stream = "s"
ts_ms = { path = "t", unit = "iso", zone = "UTC" }
scan_id = "n.n"
vel_div = { path = "v", scale = 3.5 }
w750 = "w"
prices = "p"
irp = "i"
dc_status = { path = "d", values = { a = "CONFIRM" } }
"context.c" = "c"
"""
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["2025-05-04T15:33:00", "1e999", "\ud800", '{"n": 1e400}', "nan", "[" * 2000, '{"n":"\\ud800"}'])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from("stnvwpidc"), values))
def test_whatever_a_row_holds_it_is_a_record_that_decodes_or_a_bad_row(fields):
    good = {"s": "ng7", "t": "2025-05-04T15:33:00", "n": {"n": 1}, "v": -0.01, "p": {"BTCUSDT": 1.5}}
    (source,) = mapping.parse(ANY)
    for row in (fields, good | fields, *({**good, name: value} for name, value in fields.items())):
        bad = []
        sequencer = Sequencer(bad.append)
        items = list(sequencer.items(source, [table.Row(1, dict(row), "", b"x")]))
        assert len(items) + len(bad) == 1
        assert not any(isinstance(Decoder().decode(item[3]), Fault) for item in items)
        assert all(b.said for b in bad)


def rows_of_one_time(count):
    fields = 'ts_ms = "t"\nvel_div = "v"\nprices = { key = "s", value = "c" }\n'
    toml = '[[source]]\nfeeds = "scan"\nstream = "ng7"\nfile = "x.jsonl"\ngroup = true\n[source.fields]\n' + fields
    rows = [table.Row(n, {"t": T0, "v": -0.03, "s": f"S{n}USDT", "c": n}, "", b"") for n in range(1, count + 1)]
    return mapping.parse(toml)[0], rows


def test_the_rows_of_one_time_are_joined_once_however_many_they_are():
    class Counting(Sequencer):
        checked = 0

        def check(self, line):
            self.checked += len(line)
            super().check(line)

    costs = {}
    for count in (200, 3_200):
        source, rows = rows_of_one_time(count)
        sequencer = Counting(refuse)
        (item,) = sequencer.grouped(source, list(sequencer.items(source, rows)))
        assert json.loads(item[3])["prices"] == {f"S{n}USDT": float(n) for n in range(1, count + 1)}
        costs[count] = sequencer.checked
    assert costs[3_200] < 20 * costs[200]  # 16 times the rows; joined one by one it was 256 times the bytes


def test_the_row_that_makes_a_scan_too_large_is_the_one_that_is_bad():
    source, rows = rows_of_one_time(3)
    rows[1].fields["c"] = -1
    bad = []

    class Small(Sequencer):
        def check(self, line):
            super().check(line)
            if len(json.loads(line)["prices"]) > 2:
                raise BadRow("too large")

    sequencer = Small(bad.append)
    (item,) = sequencer.grouped(source, list(sequencer.items(source, rows)))
    assert list(json.loads(item[3])["prices"]) == ["S1USDT", "S2USDT"]
    assert [(each.line, each.said) for each in bad] == [(3, "too large")]
