"""A small contract, and runs beside trades for tests of what compares them. Each test takes minutes of its own, in 2025."""

import itertools
from dataclasses import replace

import msgspec

from journal.blue import anchor
from journal.blue.anchor import Terms
from journal.blue.contract import Floors, Margins, Pairing, Window, following
from journal.blue.intake import Intake, bring, trade
from journal.ledger.run import open_segments, segments
from lanes.fingerprint import math_fingerprint
from tests.strategies import START_MS, encode, planes
from tests.written import MINUTE_MS, begin, decisions

TERMS = Terms(
    universe=None, pairing=Pairing(tolerance_ms=300_000, clock_ms=30_000), margins=Margins(leverage=0.1, notional=0.02),
    alpha=0.05, floors=Floors(pairs=1, pair_rate=0.95, scans=0.99), allowed=(),
)  # fmt: skip
LANES = {"base": 8.0, "dc": 1.0, "acb": 1.0, "ob": 1.0, "esof": 1.0}
_places = itertools.count(20_000, 10_000)


def minutes():
    """The first of many minutes that no other test uses."""
    return next(_places)


def at(minute):
    return START_MS + minute * MINUTE_MS


def soaked(store, first, count=20, **fields):
    """A run that ended, of one decision a minute, in batches of 17 records of which the first 7 are planes."""
    versions = {"violet-reactor": "0.1.0"}
    written = begin(store, standins=fields.pop("standins", ()), versions=versions)
    open_segments(
        store, [replace(each, math_fingerprint=math_fingerprint(), epoch=1) for each in segments(store, written.run_id)]
    )
    for some in range(first, first + count, 10):  # planes are stale after 15 minutes
        written.append([*map(encode, planes(at(some))), *decisions(min(10, first + count - some), some, **fields)])
    written.set(state="ENDED")
    return written


def sized(minute, label="REAL", **fields):
    """A trade at a minute, as the run of `soaked` would have sized it."""
    return {
        "trade_id": f"{label}-{minute}", "asset": "BTCUSDT", "entry_ts_ms": at(minute), "leverage": 8.0, "vel_div": -0.06,
        "scan_id": minute, "capital_before": 25_000.0, "notional_usd": 40_000.0, "version": "b1", "code_hash": "c1",
        "config_hash": "k1", "math_fingerprint": "m1", **LANES, **fields,
    }  # fmt: skip


def traded(store, *rows, label="REAL"):
    """One import of some trades."""
    trades = [trade(number, row, b"{}") for number, row in enumerate(rows, 1)]
    made = Intake(label=label, source="a test", mapping="", clock_offset_ms=0, trades=trades, legs=[])
    return bring(store, made).import_id


def window(first, last):
    return Window(from_ms=at(first), to_ms=at(last))


def agreed(store, written, span=None, label="REAL", before=None, **terms):
    """A contract over a run, anchored."""
    chosen = anchor.made(store, written.run, label, span, replace(TERMS, **terms), "wheel")
    contract = following(chosen, before)
    anchor.anchor(store, contract, written.run.name)
    return contract


def changed(contract, **fields):
    return msgspec.structs.replace(contract, **fields)
