"""The contract once more, a record at a time in plain Python: what the columns are compared with, bit for bit.

Written from the formulas of docs/design/lanes.md alone; shares no code with the product but the names of its enums.
"""

import json
import math
import re
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from journal.row import Coded
from lanes.code import Bound, DcStatus, Outcome, Reason
from tests.lanes.bits import identical

BLUE = SimpleNamespace(
    base_max=8.0, dc_boost=1.10, acb=True, ob=True, esof=True, stalker_cap=2.0, sc_post=False
)  # fmt: skip
SC_POST = SimpleNamespace(**{**vars(BLUE), "sc_post": True})
V3 = SimpleNamespace(
    base_max=9.0, dc_boost=1.0, acb=False, ob=False, esof=False, stalker_cap=None, sc_post=False
)  # fmt: skip
PEGGED = {"USDC", "BUSD", "FDUSD", "TUSD", "USDP", "DAI", "USDD", "PYUSD", "USTC", "EUR"}
POSTURES = ("APEX", "STALKER", "TURTLE", "HIBERNATE")
ALERT_MS = {
    "acb": 3_600_000, "meta": 3_600_000, "mc": 3_600_000, "ob": 10_000, "esof": 900_000,
    "posture": 86_400_000, "capital": 86_400_000,
}  # fmt: skip
FORMS = {
    "acb": (["boost"], ["signals"]), "meta": (["boost"],), "mc": (["scale"],),
    "ob": (["mult"], ["eff_imb", "agree", "n_assets"]), "esof": (["mult"], ["score"]), "posture": (["posture"],),
    "capital": (["capital_usd"],), "cadence": (["decide"],),
}  # fmt: skip


@dataclass
class Stream:
    planes: dict = field(default_factory=dict)  # name -> (value, ts_ms)
    seen: deque = field(default_factory=lambda: deque(maxlen=4096))
    decide: int = 1
    scans: int = 0
    last_ts_ms: int = 0


class Oracle:
    """Outcomes of records in offset order: ("plane", name), ("reject", lane or ""), or a row of a scan as a dict."""

    def __init__(self, rules=BLUE):
        self.rules, self.streams = rules, {}

    def outcome(self, raw):
        record = parse(raw)
        if record is None:
            return "reject", ""
        stream = self.streams.setdefault(record["stream"], Stream())
        if record["kind"] == "plane":
            name, value = record["name"], record["value"]
            stream.planes[name] = value, record["ts_ms"]
            if name == "cadence":
                stream.decide, stream.scans = value["decide"], 0
            return "plane", name
        return self._scan(record, stream)

    def _scan(self, scan, stream):
        reasons, asset, vd = set(), "", float(scan["vel_div"])
        identity = scan["scan_id"], scan["ts_ms"]
        again = identity in stream.seen
        stream.seen.append(identity)
        stream.scans += not again
        if again:
            reasons.add("DUP_SCAN")
        elif not vd < -0.02:
            reasons.add("NO_SIGNAL")
        elif stream.scans % stream.decide:
            reasons.add("CADENCE")
        else:
            asset = choose(scan)
            if not asset:
                reasons.add("NO_ELIGIBLE_ASSET")
        decided = bool(asset)
        if scan["ts_ms"] < stream.last_ts_ms:
            reasons.add("OUT_OF_ORDER")
        stream.last_ts_ms = scan["ts_ms"]
        if any(price <= 0 for price in scan["prices"].values()):
            reasons.add("SYMBOL_DROPPED")
        row = self._size(scan, stream, vd, reasons)
        if isinstance(row, str):
            return "reject", row
        row |= {
            "decided": decided, "stream": scan["stream"], "scan_id": scan["scan_id"], "ts_ms": scan["ts_ms"],
            "asset": asset, "reasons": reasons,
        }  # fmt: skip
        return row

    def _size(self, scan, stream, vd, reasons):
        r, ts_ms = self.rules, scan["ts_ms"]

        def plane(name):
            value, at_ms = stream.planes.get(name, (None, None))
            if value is not None and ts_ms - at_ms > ALERT_MS[name]:
                reasons.add(f"PLANE_STALE_{name.upper()}")
            if value is None:
                reasons.add(f"PLANE_MISSING_{name.upper()}")
            return value, None if value is None else ts_ms - at_ms

        status = scan.get("dc_status") or ("NEUTRAL" if scan.get("dc_status") is None else "")
        if status not in ("CONFIRM", "CONTRADICT", "NEUTRAL"):
            status = "UNKNOWN"
            reasons.add("DC_UNKNOWN")
        w750 = math.nan if scan.get("w750") is None else float(scan["w750"])
        strength = clip((-0.02 - vd) / (-0.02 - -0.05))
        cubed = strength**3.0
        base = 0.5 + cubed * (r.base_max - 0.5)
        dc = r.dc_boost if status == "CONFIRM" else 1.0
        boost = meta = mc = ob = esof = 1.0
        if r.acb:
            regime, meta_plane, mc_plane = plane("acb")[0], plane("meta")[0], plane("mc")[0]
            if regime and "boost" in regime:
                boost = float(regime["boost"])
            elif regime:
                boost = 1.0 + 0.5 * math.log1p(regime["signals"]) if regime["signals"] >= 1.0 else 1.0
                meta = 1.0 + (0.8 if w750 >= 0.0 else 0.2) * cubed
                reasons.discard("PLANE_MISSING_META")
            if meta_plane:
                meta = float(meta_plane["boost"])
            if mc_plane:
                mc = float(mc_plane["scale"])
        acb = boost * meta * mc
        if acb > 4.0:
            reasons.add("ACB_OUT_OF_RANGE")
        if r.ob:
            ob = consensus(plane("ob")[0])
            if not 0.85 <= ob <= 1.2:
                reasons.add("OB_OUT_OF_RANGE")
        if r.esof:
            value, age_ms = plane("esof")
            esof = haircut(value, age_ms)
            if value and not (0.0 <= value["mult"] <= 1.0 if "mult" in value else -1.0 <= value["score"] <= 1.0):
                reasons.add("ESOF_OUT_OF_RANGE")
        inside, after = (1.0, esof) if r.sc_post else (esof, 1.0)
        raw = base * dc * acb * ob * inside
        product = r.base_max * acb * ob * inside
        cap = min(product, 9.0)
        posture = stream.planes.get("posture", ({"posture": ""}, 0))[0]["posture"]
        if r.stalker_cap is not None:
            plane("posture")
            if posture == "STALKER":
                cap = min(cap, r.stalker_cap)
            if posture and posture not in POSTURES:
                reasons.add("POSTURE_UNKNOWN")
        capital = plane("capital")[0]
        usd = 25_000.0 if capital is None else float(capital["capital_usd"])
        bounded = min(raw, cap)
        leverage = fanin = max(0.5, bounded)
        notional = usd * 0.20 * leverage
        if bounded == 0.0:
            reasons.add("FLOOR_LIFTED")
        if r.sc_post and not abs(after - 1.0) < 1e-9:
            leverage, notional = round(leverage * after, 6), round(notional * after, 12)
        for lane, values in {
            "base": [strength, base], "dc": [dc], "acb": [boost, meta, mc, acb], "ob": [ob], "esof": [esof],
            "fanin": [raw, product, notional],
        }.items():  # fmt: skip
            if not all(map(math.isfinite, values)):
                return lane
        if bounded < 0.5:
            bound = "FLOOR"
        elif raw <= cap:
            bound = "PRODUCT"
        elif posture == "STALKER" and r.stalker_cap is not None and cap == r.stalker_cap:
            bound = "STALKER"
        else:
            bound = "ABS" if cap == 9.0 else "CAP"
        return {
            "posture": posture, "dc_status": status, "bound": bound, "vel_div": vd, "w750": w750,
            "strength": strength, "base": base, "dc": dc, "acb_boost": boost, "meta_boost": meta, "mc_scale": mc,
            "ob": ob, "esof": esof, "esof_fanin": inside, "cap": cap, "leverage_fanin": fanin, "sc_mult": after,
            "leverage": leverage, "fraction": 0.20, "capital_usd": usd, "notional_usd": notional,
        }  # fmt: skip


def clip(x):
    return 0.0 if x < 0.0 else min(x, 1.0)


def choose(scan):
    """Symbol with the best score; ties go to the smaller symbol. Empty where there is none."""
    ranks = {
        symbol: rank["score"]
        for symbol, rank in (scan.get("irp") or {}).items()
        if symbol.removesuffix("USDT") not in PEGGED and scan["prices"].get(symbol, 0) > 0 and rank["alignment"] >= 0
    }
    return min((s for s, score in ranks.items() if score == max(ranks.values())), default="")


def consensus(value):
    if value is None:
        return 1.0
    if "mult" in value:
        return float(value["mult"])
    eff = -value["eff_imb"]
    if value["n_assets"] < 3 or not value["agree"] > 0.70:
        return 1.0
    if eff > 0.08:
        return 1.0 + (1.20 - 1.0) * min(1.0, (eff - 0.08) / (0.28 - 0.08))
    if eff < -0.08:
        return 1.0 - (1.0 - 0.85) * min(1.0, (-eff - 0.08) / (0.28 - 0.08))
    return 1.0


def haircut(value, age_ms):
    if value is None or age_ms > 900_000:
        return 0.4
    if "mult" in value:
        return max(0.0, min(1.0, float(value["mult"])))
    score, plateaus, edge = value["score"], (0.3, 0.65, 0.8, 0.9, 1.0), 0.02
    for i, split in enumerate((-0.25, -0.05, 0.05, 0.25)):
        low, high = plateaus[i], plateaus[i + 1]
        if score < split - edge:
            return low
        if score < split + edge:
            return max(low, min(high, low + (high - low) * ((score - (split - edge)) / (2.0 * edge))))
    return plateaus[4]


# -- what is a record at all ---------------------------------------------------------------------------------------


def parse(raw):
    """The record as plain Python with its unused fields dropped, or None where it must reject."""
    if raw is None or len(raw) > 900_000:
        return None
    try:
        record = json.loads(raw.decode("utf-8"), parse_constant=_no)
        json.dumps(record, ensure_ascii=False).encode()  # lone surrogates
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not _finite(record, 128):
        return None
    try:
        return _scan(record) if record["kind"] == "scan" else _plane(record) if record["kind"] == "plane" else None
    except (KeyError, TypeError, AssertionError):
        return None


def _no(constant):
    raise ValueError(constant)


def _finite(value, levels):
    if not isinstance(value, dict | list):
        return not isinstance(value, float) or math.isfinite(value)
    children = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_finite(child, levels - 1) for child in children)


def _must(*rules):
    assert all(rules)


def _is_int(value, low, high):
    return type(value) is int and low <= value < high


def _is_number(value):
    return type(value) in (int, float) and abs(value) <= 1.7976931348623157e308


def _common(record):
    _must(_is_int(record["v"], 1, 2), re.fullmatch(r"[A-Za-z0-9._-]{1,64}", record["stream"]))
    _must(_is_int(record["ts_ms"], 1_230_768_000_000, 4_102_444_800_000))


def _scan(record):
    _common(record)
    irp = record.get("irp") or {}
    _must(_is_int(record["scan_id"], 0, 2**63), _is_number(record["vel_div"]), record["prices"])
    _must(isinstance(record["prices"], dict), isinstance(irp, dict), record.get("irp") in (None, irp))
    _must(record.get("w750") is None or _is_number(record["w750"]))
    _must(isinstance(record.get("dc_status"), str | None), isinstance(record.get("context"), dict | None))
    _must(*(re.fullmatch(r"[A-Z0-9._-]{1,32}", s) for s in (*record["prices"], *irp)))
    _must(*(_is_number(x) for x in record["prices"].values()))
    _must(*(_is_number(x["score"]) and _is_number(x["alignment"]) for x in irp.values()))
    return record


def _plane(record):
    _common(record)
    _must(_is_int(record["seq"], 0, 2**63))
    form = next((f for f in FORMS[record["name"]] if all(name in record["value"] for name in f)), None)
    _must(form)
    value = {name: record["value"][name] for name in form}
    for name, x in value.items():
        if name == "posture":
            _must(isinstance(x, str), 1 <= len(x) <= 64)
        elif name in ("decide", "n_assets"):
            _must(_is_int(x, int(name == "decide"), 2**31))
        else:
            _must(_is_number(x), x >= 0 or name in ("signals", "eff_imb", "agree", "score"))
            _must(x > 0 or name != "capital_usd")
    return record | {"value": value}


# -- comparing -----------------------------------------------------------------------------------------------------


def by_offset(batch):
    """The outcomes of a batch as the oracle spells them."""
    found = {}
    for kind, block in batch.rows.items():
        columns = {
            name: v.strings() if isinstance(v, Coded) else v.tolist() if isinstance(v, np.ndarray) else v
            for name, v in block.columns.items()
        }
        for at, offset in enumerate(block.offsets.tolist()):
            assert offset not in found, f"two outcomes at offset {offset}"
            row = {name: values[at] for name, values in columns.items()}
            if kind is Outcome.PLANE:
                found[offset] = "plane", row["name"]
            elif kind is Outcome.REJECT:
                found[offset] = "reject", row["lane"]
            else:
                row["decided"] = kind is Outcome.DECISION
                row["bound"], row["dc_status"] = Bound(row["bound"]).name, DcStatus(row["dc_status"]).name
                row["reasons"] = {reason.name for reason in Reason if row["reasons"] >> reason & 1}
                found[offset] = row
    return found


def differences(found, expected):
    """(offset, what, got, wanted) wherever outcomes by offset differ; floats bit for bit."""
    out = []
    for offset in sorted(found.keys() | expected.keys()):
        got, want = found.get(offset), expected.get(offset)
        if isinstance(got, dict) and isinstance(want, dict):
            out += [(offset, n, got[n], want[n]) for n in want if not _same(got[n], want[n])]
        elif got != want:
            out.append((offset, "outcome", got, want))
    return out


def _same(a, b):
    return identical(a, b) if isinstance(b, float) else a == b
