"""Records for a drill and for tests: small, fixed, with every kind of outcome in them."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

START_MS: Final = 1_746_372_780_000
MINUTE_MS: Final = 60_000
STREAMS: Final = ("ng7", "ob2")  # by key they lie on different partitions of two
SYMBOLS: Final = ("ADAUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT", "USDCUSDT")
POSTURES: Final = ("APEX", "STALKER", "TURTLE", "HIBERNATE")


def line(record: Mapping[str, Any]) -> bytes:
    """A record as the bytes of a line."""
    return json.dumps(record, separators=(",", ":")).encode()


def scan(
    scan_id: int, *, stream: str = "ng7", ts_ms: int | None = None, vel_div: Any = -0.0337, **fields: Any
) -> bytes:
    """One scan that decides on BTCUSDT; ids are minutes where no time is given."""
    ts_ms = START_MS + MINUTE_MS * scan_id if ts_ms is None else ts_ms
    record = {
        "v": 1,
        "kind": "scan",
        "stream": stream,
        "scan_id": scan_id,
        "ts_ms": ts_ms,
        "vel_div": vel_div,
    }
    prices = {"BTCUSDT": 94_210.5, "ETHUSDT": 1_810.25, "USDCUSDT": 1.0}
    irp = {"BTCUSDT": {"score": 0.41, "alignment": 0.6}, "USDCUSDT": {"score": 0.9, "alignment": 0.9}}
    return line(record | {"prices": prices, "irp": irp} | fields)


def plane(name: str, value: Mapping[str, Any], *, stream: str = "ng7", seq: int = 1, ts_ms: int = START_MS) -> bytes:
    """One record of a plane."""
    return line({"v": 1, "kind": "plane", "stream": stream, "name": name, "seq": seq, "ts_ms": ts_ms, "value": value})


def every_plane(*, stream: str = "ng7", ts_ms: int = START_MS) -> list[bytes]:
    """Every plane whose absence is a reason."""
    values: dict[str, dict[str, Any]] = {
        "acb": {"boost": 1.35}, "meta": {"boost": 1.05}, "mc": {"scale": 0.9}, "ob": {"mult": 1.1},
        "esof": {"mult": 0.85}, "posture": {"posture": "APEX"}, "capital": {"capital_usd": 31_000.0},
    }  # fmt: skip
    return [plane(name, value, stream=stream, ts_ms=ts_ms) for name, value in values.items()]


def plain(count: int, *, stream: str = "ng7") -> list[bytes]:
    """Scans a minute apart, a plane before every tenth; all but every fourth decide."""
    lines = []
    for n in range(count):
        if n % 10 == 0:
            lines.append(
                plane("esof", {"mult": 0.5 + n % 50 / 100}, stream=stream, seq=n, ts_ms=START_MS + MINUTE_MS * n)
            )
        lines.append(scan(n, stream=stream, vel_div=-0.01 if n % 4 == 3 else -0.02 - n % 31 / 1_000))
    return lines


# One of each way in which a record can be unusable; the comment is its code.
POISON: Final = (
    b"{",  # MALFORMED
    b"[1,2]",
    b"\xff\xfe",
    b"",  # EMPTY
    b'{"v":2,"kind":"scan"}',  # SCHEMA_VERSION
    scan(1, vel_div=0.0).replace(b":0.0,", b":NaN,"),  # NON_FINITE
    b'{"v":1,"kind":"trade"}',  # KIND
    b'{"v":1,"kind":"scan","stream":"ng7"}',  # MISSING_FIELD
    scan(2, vel_div="-0.03"),  # WRONG_TYPE
    scan(-3),  # OUT_OF_RANGE
    scan(4, stream="no such stream!"),  # BAD_NAME
    plane("gamma", {"boost": 1.0}),  # PLANE_NAME
    plane("acb", {"scale": 1.0}),  # PLANE_VALUE
)
LONG: Final = b'{"v":1,"kind":"scan","context":{"a":"' + b"x" * 900_000 + b'"}}'  # TOO_LARGE


def mixed(count: int = 600, streams: Sequence[str] = ("ng7",), seed: int = 94, *, long: bool = True) -> list[bytes]:
    """Lines with every outcome, reason, bound and record code (so the seed was chosen); streams interleave."""
    dice = random.Random(seed)  # noqa: S311 - the same records for a seed
    lines: list[bytes] = []
    ids = dict.fromkeys(streams, 0)
    past: dict[str, list[bytes]] = {stream: [] for stream in streams}
    while len(lines) < count:
        stream = dice.choice(streams)
        at = ids[stream]
        ts_ms = START_MS + MINUTE_MS * at
        roll = dice.random()
        if roll < 0.04:
            lines.append(POISON[len(lines) % len(POISON)])
        elif roll < 0.24 and at > 3:  # the first scans see no plane at all
            lines.append(_plane(dice, stream, len(lines), ts_ms))
        elif roll < 0.245 and at > 3:
            infinite = (
                plane("acb", {"boost": 1e308}, stream=stream),
                plane("meta", {"boost": 1e308}, stream=stream),
            )
            calm = plane("acb", {"boost": 1.0}, stream=stream), plane("meta", {"boost": 1.0}, stream=stream)
            lines += [*infinite, _scan(dice, stream, at, ts_ms), *calm]
            ids[stream] += 1
        elif roll < 0.28 and past[stream]:
            lines.append(dice.choice(past[stream]))  # a repeat, near or far
        else:
            late = MINUTE_MS * 3 if roll < 0.31 else 0
            lines.append(_scan(dice, stream, at, ts_ms - late))
            past[stream].append(lines[-1])
            ids[stream] += 1
    if long:
        lines[count // 2] = LONG
    return lines[:count]


def _scan(dice: random.Random, stream: str, scan_id: int, ts_ms: int) -> bytes:
    shape = dice.random()
    irp = {s: {"score": round(dice.random(), 3), "alignment": round(dice.uniform(-0.5, 1.0), 3)} for s in SYMBOLS}
    prices = {s: round(dice.uniform(0.1, 100_000.0), 2) for s in SYMBOLS}
    if shape < 0.1:
        prices[dice.choice(SYMBOLS)] = 0.0
    if 0.1 < shape < 0.15:
        irp = {"USDCUSDT": {"score": 0.9, "alignment": 0.9}}
    fields: dict[str, Any] = {
        "prices": prices,
        "irp": irp,
        "dc_status": dice.choice(("CONFIRM", "CONTRADICT", "NEUTRAL", "MAYBE")),
    }
    if shape > 0.3:
        fields["w750"] = round(dice.uniform(-0.01, 0.01), 6)
    if shape > 0.9:
        fields["weather"] = "unknown field"
    return scan(scan_id, stream=stream, ts_ms=ts_ms, vel_div=round(dice.uniform(-0.06, -0.005), 6), **fields)


def _plane(dice: random.Random, stream: str, seq: int, ts_ms: int) -> bytes:
    values: dict[str, tuple[dict[str, Any], ...]] = {
        "acb": ({"boost": dice.choice((0.0, 1.0, 1.35, 1.7, 5.0))}, {"signals": round(dice.uniform(0, 4), 3)}),
        "meta": ({"boost": dice.choice((1.0, 1.2))},),
        "mc": ({"scale": dice.choice((0.5, 1.0))},),
        "ob": ({"mult": dice.choice((0.8, 0.9, 1.0, 1.15, 1.3))},
               {"eff_imb": round(dice.uniform(-0.4, 0.4), 4), "agree": round(dice.random(), 3),
                "n_assets": dice.randrange(6)}),
        "esof": ({"mult": dice.choice((0.3, 0.65, 1.5))}, {"score": round(dice.uniform(-1.2, 0.5), 4)}),
        "posture": ({"posture": dice.choice((*POSTURES, "ZEN"))},),
        "capital": ({"capital_usd": round(dice.uniform(1_000, 90_000), 2)},),
        "cadence": ({"decide": dice.choice((1, 1, 2))},),
    }  # fmt: skip
    name = dice.choice(list(values))
    late_ms = dice.choice((0, 0, MINUTE_MS, 2_000 * MINUTE_MS))
    return plane(name, dice.choice(values[name]), stream=stream, seq=seq, ts_ms=ts_ms - late_ms)


def write(path: Path, lines: Iterable[bytes]) -> Path:
    """Lines as an archive at a path, which is given back."""
    path.write_bytes(b"".join(each + b"\n" for each in lines))
    return path
