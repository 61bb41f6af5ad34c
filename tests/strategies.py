"""Records and archives for tests: builders, the poison messages, hypothesis strategies, and `mixed_archive`."""

import json
import random
from pathlib import Path

from hypothesis import strategies as st

from lanes.code import Reject
from lanes.registry import REASONS
from reactor.log.archive import zstd

START_MS = 1_746_372_780_000  # 2025-05-04T15:33Z
DAY_MS = 86_400_000
PEGGED = (
    "USDCUSDT", "BUSDUSDT", "FDUSDUSDT", "TUSDUSDT", "USDPUSDT",
    "DAIUSDT", "USDDUSDT", "PYUSDUSDT", "USTCUSDT", "EURUSDT",
)  # fmt: skip
SYMBOLS = ("ADAUSDT", "BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
PLAIN = {
    "acb": {"boost": 1.0},
    "meta": {"boost": 1.0},
    "mc": {"scale": 1.0},
    "ob": {"mult": 1.0},
    "esof": {"mult": 1.0},
    "posture": {"posture": "APEX"},
    "capital": {"capital_usd": 25_000.0},
}


def scan(**fields):
    """A scan that decides: saturated, one asset. A field given as ... is left out."""
    record = {
        "v": 1, "kind": "scan", "stream": "ng7", "scan_id": 17, "ts_ms": START_MS, "vel_div": -0.06,
        "prices": {"BTCUSDT": 94210.5}, "irp": {"BTCUSDT": {"score": 0.41, "alignment": 0.6}},
    }  # fmt: skip
    return {name: value for name, value in (record | fields).items() if value is not ...}


def plane(name, value, **fields):
    """A plane; any field may be given another value, or ... to leave it out."""
    record = {
        "v": 1,
        "kind": "plane",
        "stream": "ng7",
        "name": name,
        "seq": 1,
        "ts_ms": START_MS,
        "value": value,
    }
    return {name: value for name, value in (record | fields).items() if value is not ...}


def planes(ts_ms=START_MS, stream="ng7", **values):
    """Every plane once, a multiplier of 1.0 unless given."""
    every = PLAIN | values
    return [plane(name, value, stream=stream, ts_ms=ts_ms) for name, value in every.items()]


def encode(record):
    """One record as a line without its end."""
    return json.dumps(record, separators=(",", ":")).encode()


def with_text(record, field, text):
    """A record's line with a field's value spelled as given, JSON or not."""
    whole = encode(record | {field: "@value@"})
    return whole.replace(b'"@value@"', text if isinstance(text, bytes) else text.encode())


# Reliability section 7, no. 35: name, record, the code of its one reject (None: accepted, as documented).
POISON = (
    ("empty", b"", Reject.EMPTY),
    ("null", b"null", Reject.MALFORMED),
    ("array", b"[]", Reject.MALFORMED),
    ("truncated", encode(scan())[:-9], Reject.MALFORMED),
    ("NaN", with_text(scan(), "vel_div", "NaN"), Reject.NON_FINITE),
    ("Infinity", with_text(scan(), "w750", "-Infinity"), Reject.NON_FINITE),
    ("1e999", with_text(scan(), "vel_div", "-1e999"), Reject.NON_FINITE),
    ("duplicate key", encode(scan(scan_id=900_001))[:-1] + b',"vel_div":-0.03}', None),
    ("extra field", encode(scan(scan_id=900_002, extra=[1])), None),
    ("missing field", encode(scan(prices=...)), Reject.MISSING_FIELD),
    ("string number", encode(scan(vel_div="-0.03")), Reject.WRONG_TYPE),
    ("bool number", encode(scan(vel_div=True)), Reject.WRONG_TYPE),
    ("negative seq", encode(plane("acb", {"boost": 1.0}, seq=-1)), Reject.OUT_OF_RANGE),
    ("2^64", encode(scan(scan_id=2**64)), Reject.OUT_OF_RANGE),
    ("float seq", encode(plane("acb", {"boost": 1.0}, seq=1.0)), Reject.WRONG_TYPE),
    ("bad UTF-8", with_text(scan(), "dc_status", b'"\xc3\x28"'), Reject.MALFORMED),
    ("lone surrogate", with_text(scan(), "dc_status", r'"\ud800"'), Reject.MALFORMED),
    ("NUL", encode(scan()).replace(b"94210", b"94\x00210"), Reject.MALFORMED),
    ("BOM", b"\xef\xbb\xbf" + encode(scan()), Reject.MALFORMED),
    ("100k nesting", b"[" * 100_000 + b"]" * 100_000, Reject.MALFORMED),
    ("SQL-injection symbol", encode(scan(prices={"X'); DROP TABLE violet_decisions; --": 1.0})), Reject.BAD_NAME),
    ("trailing bytes", encode(scan()) + b"{}", Reject.MALFORMED),
    ("-0.0", encode(scan(scan_id=900_003, vel_div=-0.0)), None),
    ("denormal", encode(scan(scan_id=900_004, w750=5e-324)), None),
    ("5,000 digits", with_text(scan(), "vel_div", "-" + "9" * 5_000), Reject.NON_FINITE),
    ("tombstone", None, Reject.EMPTY),
)  # fmt: skip
assert len(POISON) == 26

# One more record for each code that the poison messages do not reach.
FAULTY = (
    (encode(scan(v=2)), Reject.SCHEMA_VERSION),
    (encode(scan(kind="trade")), Reject.KIND),
    (encode(scan(context={"pad": "x" * 900_000})), Reject.TOO_LARGE),
    (encode(plane("vix", {"level": 1.0})), Reject.PLANE_NAME),
    (encode(plane("ob", {"eff_imb": 0.1})), Reject.PLANE_VALUE),
)
WIRE_CODES = {code for _, _, code in POISON if code} | {code for _, code in FAULTY} | {Reject.LANE_NON_FINITE}


# -- hypothesis ----------------------------------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)
ids = st.integers(0, 2**63 - 1)
times = st.integers(1_230_768_000_000, 4_102_444_799_999)
streams = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
symbols = st.from_regex(r"[A-Z0-9._-]{1,32}", fullmatch=True) | st.sampled_from((*SYMBOLS, *PEGGED))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
contexts = st.dictionaries(texts, st.none() | st.booleans() | finite | texts | st.lists(finite, max_size=3), max_size=3)
multipliers = st.floats(0.0, allow_infinity=False)

scans = st.fixed_dictionaries(
    {
        "v": st.just(1), "kind": st.just("scan"), "stream": streams, "scan_id": ids, "ts_ms": times, "vel_div": finite,
        "prices": st.dictionaries(symbols, finite, min_size=1, max_size=5),
    },
    optional={
        "w750": st.none() | finite,
        "irp": st.none()
        | st.dictionaries(symbols, st.fixed_dictionaries({"score": finite, "alignment": finite}), max_size=5),
        "dc_status": st.none() | st.sampled_from(["CONFIRM", "CONTRADICT", "NEUTRAL", "UNKNOWN", ""]) | texts,
        "context": st.none() | contexts,
    },
)  # fmt: skip

_values = {
    "acb": st.fixed_dictionaries({"boost": multipliers}) | st.fixed_dictionaries({"signals": finite}),
    "meta": st.fixed_dictionaries({"boost": multipliers}),
    "mc": st.fixed_dictionaries({"scale": multipliers}),
    "ob": st.fixed_dictionaries({"mult": multipliers})
    | st.fixed_dictionaries({"eff_imb": finite, "agree": finite, "n_assets": st.integers(0, 2**31 - 1)}),
    "esof": st.fixed_dictionaries({"mult": multipliers}) | st.fixed_dictionaries({"score": finite}),
    "posture": st.fixed_dictionaries({"posture": st.sampled_from(["APEX", "STALKER"]) | texts.filter(bool)}),
    "capital": st.fixed_dictionaries({"capital_usd": st.floats(5e-324, allow_infinity=False)}),
    "cadence": st.fixed_dictionaries({"decide": st.integers(1, 2**31 - 1)}),
}
plane_records = st.sampled_from(sorted(_values)).flatmap(
    lambda name: st.builds(
        lambda value, stream, seq, ts_ms: plane(name, value, stream=stream, seq=seq, ts_ms=ts_ms),
        _values[name], streams, ids, times,
    )
)  # fmt: skip
records = scans | plane_records


# -- a mixed archive -----------------------------------------------------------------------------------------------


def mixed_archive(seed, n=500):
    """n >= 500 lines: every outcome, reason, bound, and reject code that the wire reaches, under blue_8b.

    Three streams interleaved. Deterministic; a longer archive has more of the ordinary.
    """
    if n < 500:
        raise ValueError(f"n must be at least 500, was {n}")
    rng = random.Random(seed)
    feeds = [_feed(rng, "ng7"), _feed(rng, "alt.2")]
    script = list(_script())
    places = set(rng.sample(range(n), len(script)))
    rest = iter(script)
    return [next(rest) if at in places else next(rng.choice(feeds)) for at in range(n)]


def write_archive(path: Path, lines):
    """Write lines into `.jsonl` or `.jsonl.zst`; returns the path."""
    body = b"".join(line + b"\n" for line in lines)
    if path.suffix == ".zst":
        body = zstd.compress(body)
    path.write_bytes(body)
    return path


def _script():
    """Lines of the stream `edge` that reach every code whatever else is in the archive."""
    at = {"scan_id": 0, "ts_ms": START_MS}

    def one(ahead_ms=60_000, **fields):
        at["scan_id"] += 1
        at["ts_ms"] += ahead_ms
        return encode(scan(stream="edge", **(at | fields)))

    def put(name, value, **fields):
        return encode(plane(name, value, stream="edge", **({"ts_ms": at["ts_ms"]} | fields)))

    yield one()  # no plane was seen
    yield one(vel_div=-0.02)
    yield one(irp=...)
    yield one(prices={"USDCUSDT": 1.0}, irp={"USDCUSDT": {"score": 9.0, "alignment": 1.0}})
    yield one(irp={"BTCUSDT": {"score": 1.0, "alignment": -1e-9}})
    yield one(prices={"BTCUSDT": 0.0, "ETHUSDT": 1.0})
    yield one(dc_status="SIDEWAYS", extra=1, irp={"BTCUSDT": {"score": 1.0, "alignment": 0.0, "beta": 2.0}})
    yield one(-120_000)  # event time goes back
    yield encode(scan(stream="edge", vel_div=-0.01, **at))  # a repeat, whatever its content
    for name, value in PLAIN.items():
        yield put(name, value)
    yield one(vel_div=-0.0337)
    yield one(dc_status="CONFIRM")  # bound by CAP: DC is not in the cap
    yield put("acb", {"boost": 1.6, "signals": 7.0})  # both forms: the multiplier is used
    yield one()  # ABS
    yield put("posture", {"posture": "STALKER"})
    yield one()
    yield put("posture", {"posture": "LURKER"})
    yield one()
    yield put("posture", {"posture": "TURTLE"})
    yield put("esof", {"mult": 0.3})
    yield put("acb", {"boost": 1.0})
    yield one(vel_div=-0.0200000001)  # FLOOR
    yield put("mc", {"scale": 0.0})
    yield one()  # FLOOR_LIFTED
    yield put("mc", {"scale": 1.0})
    yield put("acb", {"boost": 4.1})
    yield put("ob", {"mult": 1.3})
    yield put("esof", {"mult": 1.2})
    yield one()  # each out of range
    yield one(2 * DAY_MS)  # every plane stale
    yield put("acb", {"signals": 2.0})
    yield put("ob", {"eff_imb": -0.2, "agree": 0.9, "n_assets": 6})
    yield put("esof", {"score": -1.5})
    yield one(1_000, w750=0.001)
    yield put("ob", {"eff_imb": 0.2, "agree": 0.9, "n_assets": 6})
    yield put("esof", {"score": 0.0})
    yield one(1_000, w750=-0.001, vel_div=-0.03)
    yield put("cadence", {"decide": 3})
    for _ in range(4):
        yield one()
    yield put("cadence", {"decide": 1}, seq=0, ts_ms=START_MS)
    yield put("acb", {"boost": 1e308})
    yield one()  # the fan-in is not finite
    yield put("meta", {"boost": 1e308})
    yield one()  # the lane is not finite
    yield encode(scan(stream="edge", **at))  # which still counts among the identities
    yield put("acb", {"boost": 1.0})
    yield put("meta", {"boost": 1.0})
    for _, raw, _ in POISON:
        if raw is not None:  # a line cannot be a tombstone
            yield raw
            yield one()
    for raw, _ in FAULTY:
        yield raw
        yield one()


def _feed(rng, stream):
    """Endless lines of an ordinary stream: mostly scans, some planes, repeats and late scans, a little rubbish."""
    scan_id, ts_ms, last = rng.randrange(10**6), START_MS, None
    while True:
        if rng.random() < 0.2:
            yield encode(_any_plane(rng, stream, ts_ms))
            continue
        if rng.random() < 0.01:
            yield rng.choice((b"", b"{", b"\xff", encode(scan(stream=stream, vel_div=None))))
            continue
        scan_id, ts_ms = scan_id + 1, ts_ms + rng.choice((5_000, 5_000, 60_000))
        if last is not None and rng.random() < 0.03:
            yield rng.choice((last, encode(scan(**(json.loads(last) | {"vel_div": -0.05})))))
            continue
        late = 180_000 if rng.random() < 0.02 else 0
        last = encode(_any_scan(rng, stream, scan_id, ts_ms - late))
        yield last


def _any_scan(rng, stream, scan_id, ts_ms):
    some = rng.sample(SYMBOLS, rng.randint(1, len(SYMBOLS))) + rng.sample(PEGGED, rng.randint(0, 2))
    prices = {symbol: round(rng.uniform(0.01, 1e5), 4) for symbol in some}
    if rng.random() < 0.02:
        prices[some[0]] = rng.choice((0.0, -1.0))
    irp = {
        symbol: {"score": round(rng.uniform(-1.0, 1.0), 1), "alignment": rng.uniform(-0.3, 1.0)}
        for symbol in some
        if rng.random() < 0.9
    }
    record = scan(
        stream=stream, scan_id=scan_id, ts_ms=ts_ms, prices=prices, irp=irp if rng.random() < 0.97 else ...,
        vel_div=rng.choice((rng.uniform(-0.06, -0.01), rng.uniform(-0.05, -0.02), -0.0337, rng.uniform(-700.0, 0.1))),
        w750=rng.choice((..., None, rng.uniform(-0.002, 0.002))),
        dc_status=rng.choice((..., None, "CONFIRM", "CONFIRM", "CONTRADICT", "NEUTRAL")),
        context=rng.choice((..., {"composite_hash": f"{rng.randrange(2**32):x}"})),
    )  # fmt: skip
    return record | {"note": 1} if rng.random() < 0.02 else record


def _any_plane(rng, stream, ts_ms):
    value = rng.choice((
        ("acb", {"boost": rng.uniform(1.0, 1.6)}),
        ("acb", {"signals": rng.choice((0.0, 0.99, 1.0, 2.0, 3.0))}),
        ("meta", {"boost": rng.uniform(1.0, 1.2)}),
        ("mc", {"scale": rng.choice((1.0, 0.5, rng.random()))}),
        ("ob", {"mult": rng.uniform(0.85, 1.2)}),
        ("ob", {"eff_imb": rng.uniform(-0.4, 0.4), "agree": rng.uniform(0.6, 1.0), "n_assets": rng.randint(1, 6)}),
        ("esof", {"mult": rng.random()}),
        ("esof", {"score": rng.uniform(-0.3, 0.3)}),
        ("posture", {"posture": rng.choice(("APEX", "APEX", "STALKER", "TURTLE", "HIBERNATE"))}),
        ("capital", {"capital_usd": rng.uniform(1_000.0, 90_000.0)}),
        ("cadence", {"decide": rng.choice((1, 1, 2))}),
    ))  # fmt: skip
    return plane(*value, stream=stream, seq=rng.randrange(10**6), ts_ms=ts_ms - rng.choice((0, 0, 20_000, 1_000_000)))


@st.composite
def damaged(draw):
    """A record's line with something done to it."""
    raw = bytearray(encode(draw(records)))
    for _ in range(draw(st.integers(1, 3))):
        at, length = draw(st.integers(0, len(raw))), draw(st.integers(0, 6))
        raw[at : at + length] = draw(
            st.binary(max_size=4)
            | st.sampled_from(
                [b"null", b"NaN", b"1e999", b'"x"', b"{}", b"[", b"}", b",", b'"v":1,', b"-0", b"\\ud800"]
            )
        )
    return bytes(raw)


def reason_names(mask):
    """Names of the reasons in a stored mask, lowest bit first."""
    return [name for bit, name in sorted(REASONS.items()) if mask >> bit & 1]
