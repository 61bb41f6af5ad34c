"""Feeds as others write them: a strategy's table of signals and of trades, a scan archive beside a store's dump.

The project did not invent these shapes. Each function writes files and a mapping into a folder and returns the mapping.
"""

import json
import math
import random
from datetime import UTC, datetime, timedelta

from reactor.log.archive import zstd

START_S = 1_746_372_780  # 2025-05-04 15:33 UTC
PAIRS = {"BTC/USDT:USDT": 94_210.5, "ETH/USDT:USDT": 1_810.25, "SOL/USDT:USDT": 145.2, "USDC/USDT:USDT": 1.0}

SIGNALS = """\
stream = "ft"

[[source]]
feeds = "scan"
file = "signals.csv"
group = true                    # one row a pair: the rows of one time are one scan
skip_without = ["vel_div"]      # the indicator's warm-up

[source.fields]
ts_ms = { path = "date", unit = "iso" }
vel_div = "vel_div"
prices = { key = "pair", value = "close", unit = "pair" }
"""

NESTED = """\
stream = "ng7"

[[source]]
name = "scans"
feeds = "scan"
file = "scan_archive.jsonl.zst"

[source.fields]
scan_id = "scan_number"
ts_ms = { path = "timestamp", unit = "s" }
vel_div = "vel_div"
w750 = "windows.750.tracking.lambda_velocity"
prices = "prices_dict"
irp = { path = "irp", score = "rank", alignment = "align" }
dc_status = { path = "dc", values = { yes = "CONFIRM", against = "CONTRADICT", no = "NEUTRAL" } }
"context.composite_hash" = "regime.composite_hash"

[[source]]
name = "acb"
feeds = "acb"
file = "store_dump.jsonl"
where = { key = "acb_boost" }

[source.fields]
ts_ms = { path = "value.updated_ns", unit = "ns" }
boost = "value.boost"

[[source]]
name = "esof"
feeds = "esof"
file = "store_dump.jsonl"
where = { key = "esof_latest" }

[source.fields]
ts_ms = { path = "value.ts", unit = "iso" }
score = "value.score"

[[source]]
name = "posture"
feeds = "posture"
file = "store_dump.jsonl"
where = { key = "safety" }

[source.fields]
ts_ms = { path = "stored_at", unit = "iso", zone = "UTC" }
posture = "value.posture"

[[source]]
name = "ob"
feeds = "ob"
file = "store_dump.jsonl"
where = { key = "ob_consensus" }

[source.fields]
ts_ms = { path = "value.t_us", unit = "us" }
eff_imb = { path = "value.imbalance_pct", scale = 0.01 }
agree = "value.agreement"
n_assets = "value.assets"
"""


# The columns of freqtrade's trade table, as its JSON and CSV exports have them.
FREQTRADE = """\
[[source]]
feeds = "trade"
[source.fields]
trade_id = "trade_id"
asset = { path = "pair", unit = "pair" }
side = { path = "is_short", values = { true = "SHORT", false = "LONG", True = "SHORT", False = "LONG" } }
entry_ts_ms = { path = "open_date", unit = "iso" }
exit_ts_ms = { path = "close_date", unit = "iso" }
leverage = "leverage"
entry_price = "open_rate"
exit_price = "close_rate"
quantity = "amount"
notional_usd = "stake_amount"
pnl = "profit_abs"
exit_reason = "exit_reason"
"""


def freqtrade(trade_id, open_date, **other):
    """One row of freqtrade's trade table, closed a few minutes later."""
    close_date = str(datetime.fromisoformat(open_date) + timedelta(minutes=7))
    return {
        "trade_id": trade_id, "pair": "BTC/USDT:USDT", "is_short": True, "open_date": open_date,
        "close_date": close_date, "leverage": 3.0, "open_rate": 94210.5, "close_rate": 94100.25, "amount": 0.012,
        "stake_amount": 376.84, "profit_abs": 1.323, "profit_ratio": 0.0035, "exit_reason": "roi", **other,
    }  # fmt: skip


def signals(folder, minutes=200, warmup=20, seed=1):
    """A freqtrade-like table: one row a candle and pair, the market's indicator on each, empty while it warms up."""
    dice = random.Random(seed)
    prices = dict(PAIRS)
    lines = ["date,pair,open,high,low,close,volume,enter_short,vel_div"]
    for n in range(minutes):
        at = datetime.fromtimestamp(START_S, UTC) + timedelta(minutes=n)
        vel_div = "" if n < warmup else repr(round(-0.03 + 0.02 * math.sin(n / 7), 6))
        for pair, price in prices.items():
            close = prices[pair] = price if pair.startswith("USDC") else price * (1 + dice.gauss(0, 0.001))
            enter = int(vel_div != "" and float(vel_div) < -0.02)
            lines.append(
                f"{at:%Y-%m-%d %H:%M:%S+00:00},{pair},{price!r},{price!r},{close!r},{close!r},10,{enter},{vel_div}"
            )
    (folder / "signals.csv").write_text("\n".join(lines) + "\n")
    return _mapping(folder, SIGNALS)


def nested(folder, scans=200, seed=2):
    """A scan archive of nested payloads, and a key-value store's dump whose values are JSON in text, unsorted."""
    dice = random.Random(seed)
    lines, dump = [], []
    prices = {pair.partition("/")[0] + "USDT": price for pair, price in PAIRS.items()}
    for n in range(scans):
        at_s = START_S + 5 * n + dice.random()
        prices = {s: p if s == "USDCUSDT" else p * (1 + dice.gauss(0, 0.0005)) for s, p in prices.items()}
        lines.append(
            {
                "scan_number": 1000 + n,
                "timestamp": round(at_s, 3),
                "vel_div": -605.0 if n == 50 else -0.03 + 0.02 * math.sin(n / 9),
                "windows": {"750": {"tracking": {"lambda_velocity": dice.gauss(0, 0.01), "lambda_max": 3.2}}},
                "prices_dict": prices,
                "irp": {s: {"rank": dice.random(), "align": dice.random()} for s in prices},
                "dc": dice.choice(["yes", "against", "no"]),
                "regime": {"composite_hash": f"{dice.getrandbits(32):08x}", "label": "choppy-bearish"},
            }
        )
        if n % 10 == 0:
            dump += [
                _stored("acb_boost", at_s, boost=1.0 + dice.random() / 2, updated_ns=int(at_s * 1e9), beta=0.2),
                _stored("esof_latest", at_s, score=dice.uniform(-1, 1), ts=_iso(at_s, "+02:00")),
                _stored("safety", at_s, posture=dice.choice(["APEX", "STALKER"]), rm=0.9),
                _stored(
                    "ob_consensus", at_s, imbalance_pct=dice.uniform(-30, 30), agreement=dice.random(), assets=3,
                    t_us=int(at_s * 1e6),
                ),
                _stored("exf_latest", at_s, fng=31),
            ]  # fmt: skip
    dice.shuffle(dump)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "scan_archive.jsonl.zst").write_bytes(zstd.compress(text.encode()))
    (folder / "store_dump.jsonl").write_text("".join(json.dumps(line) + "\n" for line in dump))
    return _mapping(folder, NESTED)


def _stored(key, at_s, **value):
    return {
        "map": "FEATURES",
        "key": key,
        "stored_at": _iso(at_s, "")[:23],
        "value": json.dumps(value),
    }


def _iso(at_s, zone):
    hours = int(zone[1:3]) if zone else 0
    return f"{datetime.fromtimestamp(at_s, UTC) + timedelta(hours=hours):%Y-%m-%dT%H:%M:%S.%f}{zone}"


def _mapping(folder, text):
    path = folder / "map.toml"
    path.write_text(text)
    return path
