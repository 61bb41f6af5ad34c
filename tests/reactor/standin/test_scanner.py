"""Scanner: causal, deterministic, bounded, and its figures are those of the plain formulas."""

import hashlib
import math
import os
import subprocess
import sys
from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.evaluate.record import Decoder, Plane, Scan
from reactor.feed.archive_writer import encode
from reactor.feed.bar_shape import OURS
from reactor.standin import bars, scanner, window
from reactor.standin.bars import Funding, Minute

T0 = 1_746_372_780_000


def lines(minutes, funding=()):
    return [encode(record) for record in scanner.scans(minutes, funding)]


def scans_of(minutes, funding=()):
    return [record for record in scanner.scans(minutes, funding) if record["kind"] == "scan"]


def planes_of(minutes, name, funding=()):
    return [r for r in scanner.scans(minutes, funding) if r["kind"] == "plane" and r["name"] == name]


def minute(at, prices, volume=1.0):
    close = np.array(list(prices.values()))
    return Minute(T0 + 60_000 * at, tuple(prices), close, close, close, np.full(len(prices), volume))


def without(minutes, symbol, since, until):
    """The minutes with one symbol taken out of the bars [since, until)."""
    for n, m in enumerate(minutes):
        keep = np.array([not (since <= n < until and s == symbol) for s in m.symbols])
        yield Minute(m.ts_ms, tuple(np.array(m.symbols, dtype=object)[keep]), *(a[keep] for a in m[2:]))


def test_the_future_never_changes_a_line(market):
    whole = lines(market)
    for cut in (51, 60, 300, 752):
        past = lines(market[:cut])
        assert past
        assert past == whole[: len(past)]


def test_a_scan_bears_the_time_at_which_its_bars_close(market):
    for step_ms in (60_000, 300_000, 3_600_000):
        bars_of = [m._replace(ts_ms=m.ts_ms // 60_000 * step_ms) for m in market[:60]]
        made = [r for r in scanner.scans(bars_of, (), scanner.ScannerParams(step_ms=step_ms)) if r["kind"] == "scan"]
        assert [r["ts_ms"] for r in made] == [m.ts_ms + step_ms for m in bars_of[50:]]
        assert [r["prices"] for r in made] == [
            dict(zip(m.symbols, m.close.tolist(), strict=True)) for m in bars_of[50:]
        ]


def test_a_scan_is_out_before_the_next_bar_is_read(market):
    read = []
    for record in scanner.scans(read.append(m.ts_ms) or m for m in market[:70]):
        assert record["ts_ms"] == read[-1] + bars.MINUTE_MS


def test_a_scan_a_minute_from_bar_51_on(market):
    found = scans_of(market)
    assert [s["ts_ms"] for s in found] == [m.ts_ms + 60_000 for m in market[50:]]
    assert [s["scan_id"] for s in found] == list(range(1, len(market) - 49))
    assert not any(record for record in scanner.scans(market[:50]))


def test_every_line_is_a_valid_record_without_unknown_fields(market):
    decoder = Decoder()
    found = Counter(type(decoder.decode(line)) for line in lines(market))
    assert set(found) == {Scan, Plane}
    assert not decoder.unknown
    assert all(s["context"]["scanner"] == "stand-in" for s in scans_of(market[:60]))


def test_shares_are_the_leading_eigenvalue_of_the_correlation_matrix(market):
    panel = scanner.Panel()
    closes = []
    for m in market:
        panel.push(m)
        closes.append(dict(zip(m.symbols, m.close.tolist(), strict=True)))
    symbols = [s for s in closes[-1] if s in closes[0]]
    last = None
    rows = []
    for row in closes:  # a symbol that misses a bar holds its price
        last = [row.get(s, last[n] if last else math.nan) for n, s in enumerate(symbols)]
        rows.append(last)
    returns = np.rint((np.array(rows[1:]) / np.array(rows[:-1]) - 1.0) / scanner.UNIT)
    for bars_back, share in zip(scanner.WINDOWS, panel.shares.tolist(), strict=True):
        eigenvalues = np.linalg.eigvalsh(np.corrcoef(returns[-bars_back:].T))
        assert share == pytest.approx(eigenvalues[-1] / len(symbols), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_share_lies_between_one_symbol_and_all_of_them(n, seed):
    rng = np.random.default_rng(seed)
    panel = scanner.Panel()
    price = np.ones(n)
    for at in range(70):
        price = price * (1.0 + 0.01 * (rng.random(n) - 0.5))
        panel.push(minute(at, dict(zip("ABCDEF", price.tolist(), strict=False))))
    assert all(1 / n - 1e-12 <= share <= 1 + 1e-12 for share in panel.shares)


def test_opposite_twins_move_as_one():
    panel = scanner.Panel()
    price = 1.0
    for at in range(60):
        price *= 1.01 if at % 3 else 0.985
        panel.push(minute(at, {"A": price, "B": 1.0 / price}))
    assert panel.shares == pytest.approx(np.ones(4), abs=1e-3)


def test_irp_and_dc_status_are_those_of_the_requirements(market):
    scan = scans_of(market)[-1]
    best = None
    for symbol, irp in scan["irp"].items():
        p = []
        for m in market:
            if symbol in m.symbols:
                p.append(float(m.close[m.symbols.index(symbol)]))
            elif p:
                p.append(p[-1])
        p = p[-50:]
        r = [b / a - 1.0 for a, b in pairwise(p)]
        good, bad = max((p[0] - x) / p[0] for x in p), max((x - p[0]) / p[0] for x in p)
        align = sum(x < 0 for x in r) / len(r)
        noise = sum(x * x for x in r) / len(r) - (sum(r) / len(r)) ** 2
        score = 0.5 * math.log1p(good / (bad + 1e-12)) + 0.35 * align - 0.15 * noise * 1000.0
        assert irp == {"score": pytest.approx(score, rel=1e-9), "alignment": pytest.approx(align)}
        if symbol not in window.PEGGED and (best is None or irp["score"] > best[0]):
            best = irp["score"], p
    bps = (best[1][-1] - best[1][-8]) / best[1][-8] * 1e4
    assert scan["dc_status"] == ("CONFIRM" if bps <= -0.75 else "CONTRADICT" if bps >= 0.75 else "NEUTRAL")


def test_dc_status_looks_at_the_symbol_that_selection_would_choose():
    panel = scanner.Panel()
    for at in range(60):
        steady, falling, steep = 1.0 + at / 1e3, 2.0 - at / 1e3, 3.0 - at / 1e2
        panel.push(minute(at, {"A": steady, "B": falling, "C": falling, "USDCUSDT": steep}))
    ranks = panel.window.irp()
    assert ranks["USDCUSDT"]["score"] > ranks["B"]["score"] == ranks["C"]["score"] > ranks["A"]["score"]
    assert window.chosen(ranks, panel.window.slots) == "B"  # not the pegged one; the smaller of two equal ones
    assert window.chosen(ranks, {"A"}) == "A"
    assert window.chosen({}, {"A"}) is None
    assert [panel.window.dc_status(symbol) for symbol in (None, "A", "B")] == ["NEUTRAL", "CONTRADICT", "CONFIRM"]


def test_w750_appears_with_the_750th_return(market):
    found = scans_of(market)
    assert ["w750" in s for s in found] == [n + 50 >= 750 for n in range(len(found))]
    assert len({s["w750"] > 0.0 for s in found if "w750" in s}) == 2


def test_a_symbol_that_joins_late_is_priced_at_once_and_ranked_at_its_50th_price(market):
    found = scans_of(without(market[:300], "ETHUSDT", 0, 100))
    priced = [n for n, s in enumerate(found, 50) if "ETHUSDT" in s["prices"]]
    ranked = [n for n, s in enumerate(found, 50) if "ETHUSDT" in s["irp"]]
    assert (priced[0], ranked[0]) == (100, 149)
    assert max(abs(s["vel_div"]) for s in found) < 1.0


def test_a_symbol_that_leaves_is_neither_priced_nor_ranked(market):
    found = scans_of(without(market[:300], "ETHUSDT", 120, 200))
    for n, s in enumerate(found, 50):
        assert ("ETHUSDT" in s["prices"]) == ("ETHUSDT" in s["irp"]) == (not 120 <= n < 200)


def test_a_missing_minute_gives_no_scan_and_no_stop(market):
    found = scans_of(m for n, m in enumerate(market[:200]) if n not in (90, 91, 150))
    gaps = Counter(b["ts_ms"] - a["ts_ms"] for a, b in pairwise(found))
    assert gaps == {60_000: 144, 180_000: 1, 120_000: 1}


def test_memory_is_that_of_the_ring_whatever_the_length(market):
    panel = scanner.Panel()

    def held():
        return sum(a.nbytes for a in vars(panel).values() if isinstance(a, np.ndarray))

    sizes = []
    for n, m in enumerate(islice((m for _ in range(3) for m in market), 2_600)):
        panel.push(m._replace(ts_ms=T0 + 60_000 * n))
        sizes.append(held())
    assert sizes[-1] == sizes[1_000] < 200_000


def test_planes_come_before_their_scan_with_growing_sequences_and_due_times(market):
    pending, seqs, sent = [], Counter(), {}
    for record in scanner.scans(market):
        if record["kind"] == "scan":
            assert {p["ts_ms"] for p in pending} == {record["ts_ms"]}
            assert pending[-1]["name"] == "ob"
            pending = []
            continue
        name = record["name"]
        seqs[name] += 1
        assert record["seq"] == seqs[name]
        pending.append(record)
        sent.setdefault(name, []).append(record["ts_ms"])
    assert set(sent) == {"posture", "capital", "acb", "mc", "esof", "ob"}
    assert len(sent["ob"]) == len(market) - 50
    assert max(np.diff(sent["esof"])) <= 6 * 60_000
    assert max(np.diff(sent["acb"])) <= 66 * 60_000
    assert len(sent["posture"]) == len(sent["capital"]) == 1


def test_settings_are_what_the_planes_say(market):
    records = scanner.scans(market[:51], params=scanner.ScannerParams(stream="s-1", posture="STALKER", capital_usd=7.5))
    values = {r["name"]: r["value"] for r in records if r["kind"] == "plane" and r["stream"] == "s-1"}
    assert values["posture"] == {"posture": "STALKER"}
    assert values["capital"] == {"capital_usd": 7.5}


@pytest.mark.parametrize(
    "bad",
    [{"stream": "a b"}, {"stream": "a\n"}, {"posture": ""}, {"capital_usd": 0.0}, {"capital_usd": math.nan}],
)
def test_settings_outside_their_domain_are_refused(bad):
    with pytest.raises(ValueError, match="must"):
        scanner.ScannerParams(**bad)


def test_funding_acts_from_its_time_on(market):
    at = market[200].ts_ms
    rates = [Funding(at, s, -0.001) for s in ("ADAUSDT", "BTCUSDT", "ETHUSDT")]
    plain, funded = planes_of(market, "acb"), planes_of(market, "acb", rates)
    assert [p for p in plain if p["ts_ms"] < at] == [p for p in funded if p["ts_ms"] < at]
    assert {p["value"]["signals"] for p in funded if p["ts_ms"] > at + 300_000} <= {2.0, 3.0}


def test_pressure_is_signed_turnover_and_the_larger_sides_share():
    def market():
        for at in range(60):
            up, down = 1.0 + at / 1_000, 2.0 - at / 1_000
            same = minute(at, {"A": up, "B": down, "C": down})
            yield same._replace(volume=np.array([1.0, 2.0, 3.0]))

    value = planes_of(market(), "ob")[-1]["value"]
    up, down = 1.059, 1.941
    assert value["eff_imb"] == pytest.approx((up - 5 * down) / (up + 5 * down))
    assert (value["agree"], value["n_assets"]) == (pytest.approx(2 / 3), 3)


def test_the_calendar_score_stays_in_range_and_moves_without_steps_on_a_weekday():
    week = [scanner.esof_score(scanner.DAY_MS * 4 + 300_000 * n) for n in range(7 * 288)]  # from a Monday
    assert all(-1.0 <= score <= 1.0 for score in week)
    assert max(np.abs(np.diff(week[: 5 * 288]))) < 0.03
    assert np.mean(week[5 * 288 :]) < np.mean(week[: 5 * 288]) - 0.3


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sets(st.sampled_from("ABC")), min_size=20, max_size=20), st.integers(0, 2**32 - 1))
def test_any_coming_and_going_of_symbols_gives_valid_causal_lines(presence, seed):
    rng = np.random.default_rng(seed)
    minutes = [minute(at, {s: 1.0 + rng.random() for s in "ABC"}) for at in range(55)]
    minutes += [
        minute(55 + at, {s: 1.0 + rng.random() for s in sorted(here)}) for at, here in enumerate(presence) if here
    ]
    decoder = Decoder()
    whole = lines(minutes)
    assert {type(decoder.decode(line)) for line in whole} == {Scan, Plane}
    past = lines(minutes[:60])
    assert past == whole[: len(past)]


def test_lines_are_the_same_in_every_process():
    code = (
        "import hashlib; from itertools import islice; from reactor.standin import seeded;"
        "print(hashlib.sha256(b'\\n'.join(seeded.lines(scans=300))).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": hash_seed}, capture_output=True,
            text=True, check=True,
        ).stdout
        for hash_seed in ("0", "1")
    }  # fmt: skip
    from reactor.standin import seeded

    assert found == {hashlib.sha256(b"\n".join(seeded.lines(scans=300))).hexdigest() + "\n"}


def test_three_hours_of_recorded_bars(data):
    minutes = list(islice(bars.Bars([data / "klines_1m_binance_2025.parquet"], OURS), 180))
    rates = bars.funding([str(data / "funding_8h_binance_2025.parquet")])
    assert len(scans_of(minutes, rates)) == 130
    assert minutes[0].symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    decoder = Decoder()
    assert {type(decoder.decode(line)) for line in lines(minutes, rates)} == {Scan, Plane}
    assert len(scans_of(minutes)[-1]["irp"]) == 15  # the sixteenth symbol is listed five days later
    assert lines(minutes[:100], rates) == lines(minutes, rates)[: len(lines(minutes[:100], rates))]
