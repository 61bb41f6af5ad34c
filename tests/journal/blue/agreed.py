"""A small contract, and runs beside trades for tests of what compares them. Each test takes minutes of its own, in 2025."""

import itertools
from dataclasses import replace

import msgspec

from journal.blue import anchor
from journal.blue.anchor import Terms
from journal.blue.contract import Floors, Margins, Pairing, Window, following
from journal.blue.intake import Intake, bring, trade
from tests.strategies import START_MS
from tests.written import MINUTE_MS, begin, decisions

TERMS = Terms(
    universe=None, pairing=Pairing(tolerance_ms=300_000, clock_ms=30_000), margins=Margins(leverage=0.1, notional=0.02),
    alpha=0.05, floors=Floors(pairs=1, pair_rate=0.95, scans=0.99), allowed=(),
)  # fmt: skip
_places = itertools.count(20_000, 10_000)


def minutes():
    """The first of many minutes that no other test uses."""
    return next(_places)


def at(minute):
    return START_MS + minute * MINUTE_MS


def soaked(store, first, count=20, **fields):
    """A run that ended, of one decision a minute."""
    written = begin(store, standins=fields.pop("standins", ()))
    written.append(decisions(count, first, **fields))
    written.set(state="ENDED")
    return written


def traded(store, minute, label="REAL", **fields):
    """One import of one trade at a minute, as the run of `soaked` would have sized it."""
    row = {
        "trade_id": f"{label}-{minute}", "asset": "BTCUSDT", "entry_ts_ms": at(minute), "leverage": 8.0, "vel_div": -0.06,
        "scan_id": minute, "capital_before": 25_000.0, "notional_usd": 40_000.0, "version": "b1", "code_hash": "c1",
        "config_hash": "k1", "math_fingerprint": "m1", **fields,
    }  # fmt: skip
    made = Intake(label=label, source="a test", mapping="", clock_offset_ms=0, trades=[trade(1, row, b"{}")], legs=[])
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
