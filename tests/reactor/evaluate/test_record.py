"""Records: any bytes become one typed record or one fault with a stable code."""

import json
import re
import struct
import sys

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lanes.code import Reject
from reactor.evaluate.record import (
    CUT_BYTES,
    DEPTH_MAX,
    FORMS,
    MAX_BYTES,
    NAMES_MAX,
    UNKNOWN_MAX,
    Decoder,
    Fault,
    Plane,
    Scan,
    schema,
)
from tests import oracle, strategies
from tests.strategies import FAULTY, POISON, encode, plane, scan, with_text

HUGE = 40_000  # half of a line: enough for whatever is quadratic to be felt


def code(raw):
    """Code of a record's reject, None where it is accepted."""
    record = Decoder().decode(raw)
    return record.code if isinstance(record, Fault) else None


def same(record):
    """What two decodings of a record must share, floats by their bits. A context is not kept by the slow path."""
    if isinstance(record, Fault):
        return record.code, record.kind, record.stream, record.scan_id, record.ts_ms
    fields = msgspec.structs.asdict(record)
    fields.pop("context", None)
    return repr(msgspec.to_builtins(fields))


def at_depth(frames, call):
    return call() if frames == 0 else at_depth(frames - 1, call)


# -- poison --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "raw", "expected"), POISON, ids=[name for name, _, _ in POISON])
def test_each_poison_message_has_its_one_code(name, raw, expected):
    assert code(raw) == expected


@pytest.mark.parametrize(("raw", "expected"), FAULTY, ids=[each.name for _, each in FAULTY])
def test_every_other_fault_has_its_code(raw, expected):
    assert code(raw) == expected


def test_every_code_of_the_record_is_reached_by_a_wire_message():
    assert {each for each in Reject if each < 300} | {Reject.LANE_NON_FINITE} == strategies.WIRE_CODES


def test_what_poison_is_accepted_is_taken_as_documented():
    records = {name: Decoder().decode(raw) for name, raw, _ in POISON}
    assert records["duplicate key"].vel_div == -0.03  # the last wins
    assert struct.pack("<d", records["-0.0"].vel_div) == struct.pack("<d", -0.0)
    assert records["denormal"].w750 == 5e-324


def test_a_poison_message_leaves_no_mark_on_its_neighbours():
    decoder, good = Decoder(), encode(scan())
    before = same(decoder.decode(good))
    for _, raw, _ in POISON:
        decoder.decode(raw)
        assert same(decoder.decode(good)) == before


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "raw",
    [
        b" " * (10 * MAX_BYTES),
        b"\x00" * MAX_BYTES,
        b"[]" * HUGE,
        b'{"a":"' + b'\\"' * HUGE,
        b'{"a":"' + b"\\" * (2 * HUGE),
        b'"' * (2 * HUGE),
        b'{"a":[' + b"NaN," * HUGE + b"1]}",
        b'{"a":[' + b"1e999," * HUGE + b"1]}",
        b'{"a":' * HUGE,
        b"[" + b"{}," * HUGE + b"]",
        b'{"a":' + b"9" * (2 * HUGE) + b"}",
        b'{"a":0.' + b"1" * (2 * HUGE) + b"e-9999999999}",
        with_text(scan(), "prices", json.dumps({f"S{i}": 1.0 for i in range(HUGE)})),
        with_text(scan(), "context", json.dumps([{} for _ in range(HUGE)])),
        encode(scan(**{f"field{i}": i for i in range(HUGE)})),
    ],
    ids=lambda raw: f"{raw[:12]!r}",
)
def test_no_long_line_stalls(raw):
    assert code(raw) == code(raw)


# -- size and nesting ----------------------------------------------------------------------------------------------


def padded(size):
    empty = encode(scan(context={"pad": ""}))
    return empty.replace(b'"pad":""', b'"pad":"%s"' % (b"x" * (size - len(empty))))


def test_a_record_may_be_900_000_bytes_and_no_more():
    assert len(padded(MAX_BYTES)) == MAX_BYTES == 900_000
    assert code(padded(MAX_BYTES)) is None
    assert code(padded(MAX_BYTES + 1)) is Reject.TOO_LARGE
    faulty = padded(MAX_BYTES).replace(b'"v":1', b'"v":2')
    assert code(faulty) is Reject.SCHEMA_VERSION


@pytest.mark.parametrize("filler", [b" ", b"x", b"\xff", b"["])
def test_size_is_judged_before_content(filler):
    assert code(filler * (MAX_BYTES + 1)) is Reject.TOO_LARGE


def test_the_bounds_are_those_of_the_contract():
    assert (CUT_BYTES, DEPTH_MAX, NAMES_MAX, UNKNOWN_MAX) == (16 * 1024, 128, 100_000, 64)


@pytest.mark.parametrize("raw", [b"[" * 300, encode({"v": 1, "kind": "scan", "x" * 300: 1})[:-1], b"\xff" * 300])
def test_what_is_said_of_a_fault_is_at_most_200_characters_long(raw):
    assert len(Decoder().decode(raw).detail) <= 200


def nested(levels, leaf="1", shape='{"a":'):
    """A record that is `levels` deep, itself included."""
    deep = shape * (levels - 1) + leaf + ("}" if shape[0] == "{" else "]") * (levels - 1)
    return with_text(scan(), "context", deep)


def test_a_record_may_be_128_levels_deep_and_no_more():
    assert code(nested(DEPTH_MAX)) is None
    assert code(nested(DEPTH_MAX + 1)) is Reject.MALFORMED
    extra = nested(DEPTH_MAX).replace(b'"context"', b'"other"')
    assert code(extra) is None
    assert code(nested(DEPTH_MAX + 1).replace(b'"context"', b'"other"')) is Reject.MALFORMED
    assert code(nested(DEPTH_MAX, "NaN")) is Reject.NON_FINITE
    assert code(nested(DEPTH_MAX + 1, "NaN")) is Reject.MALFORMED


def test_brackets_in_strings_are_no_nesting():
    assert code(encode(scan(context={"text": '[{"' * 500}))) is None
    deep = {"text": '[{"' * 500, "more": [[]] * 200}
    assert code(encode(scan(context=deep))) is None
    assert code(with_text(scan(context=deep), "vel_div", "NaN")) is Reject.NON_FINITE


@pytest.mark.parametrize("leaf", ["1", "NaN", "-1e999", "{", '"'])
@pytest.mark.parametrize("levels", [100, DEPTH_MAX, DEPTH_MAX + 1, 300, 600, 100_000])
@pytest.mark.parametrize("shape", ['{"a":', "["])
def test_deep_nesting_has_one_code_whatever_the_callers_stack(shape, levels, leaf):
    raw = nested(levels, leaf, shape)
    codes = {at_depth(frames, lambda: code(raw)) for frames in (0, 200, 400, 600)}
    assert len(codes) == 1
    if levels > DEPTH_MAX:
        assert codes == {Reject.MALFORMED}
    assert sys.getrecursionlimit() >= 1_000


# -- domains -------------------------------------------------------------------------------------------------------

LEAST, MOST = 1_230_768_000_000, 4_102_444_800_000
ENTRY = {"score": 1.0, "alignment": 0.0}
OUT, TYPE, NAME = Reject.OUT_OF_RANGE, Reject.WRONG_TYPE, Reject.BAD_NAME


def irp(**entry):
    return {"irp": {"BTCUSDT": ENTRY | entry}}


SCANS = [
    *(({"v": v}, Reject.SCHEMA_VERSION) for v in (0, 2, -1, 1.0, "1", True, None, [1], ...)),
    *(({"kind": kind}, Reject.KIND) for kind in ("trade", "SCAN", "", 1, None, ["scan"], {"a": 1}, ...)),
    ({"scan_id": 0}, None), ({"scan_id": -1}, OUT), ({"scan_id": 2**63 - 1}, None), ({"scan_id": 2**63}, OUT),
    ({"scan_id": 2**64 - 1}, OUT), ({"scan_id": 10**30}, OUT), ({"scan_id": 1.5}, TYPE), ({"scan_id": "1"}, TYPE),
    ({"scan_id": False}, TYPE), ({"scan_id": None}, TYPE),
    ({"ts_ms": LEAST}, None), ({"ts_ms": LEAST - 1}, OUT), ({"ts_ms": MOST - 1}, None), ({"ts_ms": MOST}, OUT),
    ({"ts_ms": 0}, OUT), ({"ts_ms": -1}, OUT), ({"ts_ms": 2**63}, OUT), ({"ts_ms": 1.7e12}, TYPE),
    ({"stream": "a" * 64}, None), ({"stream": "a" * 65}, NAME), ({"stream": ""}, NAME), ({"stream": "ng 7"}, NAME),
    ({"stream": "ng7\n"}, NAME), ({"stream": "n\u00e7"}, NAME), ({"stream": "ng\x00"}, NAME), ({"stream": 7}, TYPE),
    ({"stream": "A.z_0-9"}, None), ({"stream": None}, TYPE),
    ({"vel_div": 1}, None), ({"vel_div": -1.7976931348623157e308}, None), ({"vel_div": 10**308}, None),
    ({"vel_div": 10**309}, Reject.NON_FINITE), ({"vel_div": None}, TYPE), ({"vel_div": [1.0]}, TYPE),
    ({"prices": {}}, OUT), ({"prices": []}, TYPE), ({"prices": None}, TYPE), ({"prices": {"BTCUSDT": None}}, TYPE),
    ({"prices": {"BTCUSDT": "1"}}, TYPE), ({"prices": {"BTCUSDT": 0}}, None), ({"prices": {"BTCUSDT": -1.0}}, None),
    ({"prices": {"A" * 32: 1.0}}, None), ({"prices": {"A" * 33: 1.0}}, NAME), ({"prices": {"": 1.0}}, NAME),
    ({"prices": {"btcusdt": 1.0}}, NAME), ({"prices": {"BTC/USDT": 1.0}}, NAME), ({"prices": {"B\x00": 1.0}}, NAME),
    ({"prices": {"A.B_C-9": 1.0}}, None), ({"prices": {"BTCUSDT\n": 1.0}}, NAME),
    ({"w750": ...}, None), ({"w750": None}, None), ({"w750": "0"}, TYPE), ({"w750": {}}, TYPE),
    ({"irp": ...}, None), ({"irp": None}, None), ({"irp": {}}, None), ({"irp": []}, TYPE),
    ({"irp": {"btc": ENTRY}}, NAME), ({"irp": {"BTC": None}}, TYPE), ({"irp": {"BTC": 1.0}}, TYPE),
    (irp(score=-5.0), None), (irp(score="1"), TYPE), (irp(alignment=None), TYPE),
    ({"irp": {"BTC": {"score": 1.0}}}, Reject.MISSING_FIELD), (irp(beta=1), None),
    ({"dc_status": ...}, None), ({"dc_status": None}, None), ({"dc_status": ""}, None), ({"dc_status": 1}, TYPE),
    ({"context": ...}, None), ({"context": None}, None), ({"context": {}}, None), ({"context": []}, TYPE),
    ({"context": "x"}, TYPE), ({"context": 1.0}, TYPE),
    *(({name: ...}, Reject.MISSING_FIELD) for name in ("stream", "scan_id", "ts_ms", "vel_div", "prices")),
]  # fmt: skip
PLANES = [
    ("acb", {"boost": 0.0}, None), ("acb", {"boost": -0.0}, None), ("acb", {"boost": -5e-324}, OUT),
    ("acb", {"boost": 1.7976931348623157e308}, None), ("acb", {"boost": 3}, None), ("acb", {"boost": "3"}, TYPE),
    ("acb", {"boost": None}, TYPE), ("acb", {"signals": -1.0}, None), ("acb", {"signals": None}, TYPE),
    ("acb", {}, Reject.PLANE_VALUE), ("acb", {"scale": 1.0}, Reject.PLANE_VALUE), ("acb", None, TYPE),
    ("acb", [], TYPE), ("acb", 1.0, TYPE), ("acb", ..., Reject.MISSING_FIELD),
    ("acb", {"boost": 1.5, "signals": 2.0}, None), ("acb", {"boost": 1.5, "other": 2.0}, None),
    ("meta", {"boost": 0.0}, None), ("meta", {"boost": -1.0}, OUT), ("meta", {"signals": 1.0}, Reject.PLANE_VALUE),
    ("mc", {"scale": 0.0}, None), ("mc", {"scale": -1.0}, OUT), ("mc", {"boost": 1.0}, Reject.PLANE_VALUE),
    ("ob", {"mult": 99.0}, None), ("ob", {"mult": -1.0}, OUT),
    ("ob", {"eff_imb": -9.0, "agree": 9.0, "n_assets": 0}, None),
    ("ob", {"eff_imb": 0.1, "agree": 0.1, "n_assets": 2**31 - 1}, None),
    ("ob", {"eff_imb": 0.1, "agree": 0.1, "n_assets": 2**31}, OUT),
    ("ob", {"eff_imb": 0.1, "agree": 0.1, "n_assets": -1}, OUT),
    ("ob", {"eff_imb": 0.1, "agree": 0.1, "n_assets": 3.0}, TYPE),
    ("ob", {"eff_imb": 0.1, "agree": 0.1}, Reject.PLANE_VALUE),
    ("esof", {"mult": 7.0}, None), ("esof", {"mult": -1.0}, OUT), ("esof", {"score": -7.0}, None),
    ("posture", {"posture": "APEX"}, None), ("posture", {"posture": "\u00e9"}, None),
    ("posture", {"posture": "x" * 64}, None), ("posture", {"posture": "x" * 65}, OUT),
    ("posture", {"posture": ""}, OUT), ("posture", {"posture": 1}, TYPE),
    ("capital", {"capital_usd": 5e-324}, None), ("capital", {"capital_usd": 0.0}, OUT),
    ("capital", {"capital_usd": -1.0}, OUT), ("capital", {"capital_usd": 25_000}, None),
    ("cadence", {"decide": 1}, None), ("cadence", {"decide": 0}, OUT), ("cadence", {"decide": 2**31 - 1}, None),
    ("cadence", {"decide": 2**31}, OUT), ("cadence", {"decide": 2.0}, TYPE),
    ("vix", {"boost": 1.0}, Reject.PLANE_NAME), ("", {"boost": 1.0}, Reject.PLANE_NAME),
    (7, {"boost": 1.0}, TYPE), (None, {"boost": 1.0}, TYPE), (..., {"boost": 1.0}, Reject.MISSING_FIELD),
]  # fmt: skip
SEQS = [(0, None), (-1, OUT), (2**63 - 1, None), (2**63, OUT), (1.0, TYPE), (..., Reject.MISSING_FIELD)]


@pytest.mark.parametrize(("fields", "expected"), SCANS, ids=repr)
def test_every_domain_of_a_scan_edge_by_edge(fields, expected):
    assert code(encode(scan(**fields))) == expected


@pytest.mark.parametrize(("name", "value", "expected"), PLANES, ids=repr)
def test_every_domain_of_a_plane_edge_by_edge(name, value, expected):
    assert code(encode(plane(name, value))) == expected


@pytest.mark.parametrize(("seq", "expected"), SEQS, ids=repr)
def test_a_seq_is_any_int64_from_zero_on(seq, expected):
    assert code(encode(plane("mc", {"scale": 1.0}, seq=seq))) == expected


@pytest.mark.parametrize("text", ["01", "+1", ".5", "1.", "1e", "-", "0x1", "1_000", "tru", "'1'", "1,", "//1\n1"])
def test_what_is_no_json_is_malformed(text):
    assert code(with_text(scan(), "vel_div", text)) is Reject.MALFORMED


@pytest.mark.parametrize(
    "bad", [b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', rb'"\udc00"', b"1e999", b"NaN", b"01", b'"\n"']
)
@pytest.mark.parametrize("field", ["context", "other", "dc_status"])
def test_text_and_numbers_are_checked_wherever_they_stand(field, bad):
    expected = Reject.NON_FINITE if bad in (b"1e999", b"NaN") else Reject.MALFORMED
    assert code(with_text(scan(), field, b'{"x":' + bad + b"}")) is expected
    assert code(with_text(scan(note=1), field, b'{"x":' + bad + b"}")) is expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "utf-16-le"])
def test_another_encoding_is_malformed_even_with_a_nan_in_it(encoding):
    assert code(with_text(scan(), "vel_div", "NaN").decode().encode(encoding)) is Reject.MALFORMED


def test_white_space_around_a_record_is_nothing():
    assert code(b" \t\r\n" + encode(scan()) + b"\r") is None
    assert code(b" \t\r\n") is Reject.EMPTY


# -- duplicates, nulls, unknown fields -----------------------------------------------------------------------------


def test_of_a_duplicate_key_the_last_wins_at_every_level_and_for_every_field():
    good, decode = encode(scan())[:-1], Decoder().decode
    assert decode(good + b',"prices":{"A":1,"A":2,"B":3}}').prices == {"A": 2.0, "B": 3.0}
    assert decode(good + b',"irp":{"A":{"score":1,"alignment":1,"score":2}}}').irp["A"].score == 2.0
    assert decode(good + b',"vel_div":"x","vel_div":-1}').vel_div == -1.0  # a bad one that does not count
    assert decode(good + b',"vel_div":-1,"vel_div":"x"}').code is TYPE
    assert decode(good + b',"v":2}').code is Reject.SCHEMA_VERSION
    assert isinstance(decode(b'{"kind":"plane","v":9,' + good[1:] + b"}"), Scan)
    assert decode(good + b',"kind":"plane"}').code is Reject.MISSING_FIELD
    value = b'{"boost":1,"boost":1.5}'
    assert decode(with_text(plane("acb", {}), "value", value)).value.boost == 1.5


def test_a_null_in_an_optional_field_counts_as_absent():
    names = ("w750", "irp", "dc_status", "context")
    nulls = Decoder().decode(encode(scan(**dict.fromkeys(names))))
    absent = Decoder().decode(encode(scan(**dict.fromkeys(names, ...))))
    assert same(nulls) == same(absent)


def test_unknown_fields_are_counted_by_dotted_name():
    decoder = Decoder()
    entry = ENTRY | {"beta": 1.0}
    decoder.decode(encode(scan(note=1, w750x=None, irp={"A": entry, "B": entry})))
    decoder.decode(encode(plane("acb", {"boost": 1.0, "signals": 2.0, "x": []}, note=2)))
    decoder.decode(encode(scan(note=3, vel_div="x")))  # rejected, and yet its field was seen
    assert decoder.take_unknown() == {"note": 3, "w750x": 1, "irp.beta": 2, "value.signals": 1, "value.x": 1}
    assert decoder.take_unknown() == {}
    decoder.decode(encode(plane("acb", {"boost": 1.0}, note=2)))
    decoder.decode(encode(scan(irp={"A": entry})))
    assert decoder.take_unknown() == {"note": 1, "irp.beta": 1}


def test_names_of_unknown_fields_are_bounded_and_the_first_ones_stay():
    decoder = Decoder()
    for _ in range(2):
        decoder.decode(encode(scan(**{f"field{i:03}": i for i in range(500)})))
    counts = decoder.take_unknown()
    named = [f"field{i:03}" for i in range(UNKNOWN_MAX)]
    assert counts == dict.fromkeys(named, 2) | {"*": 2 * (500 - UNKNOWN_MAX)}
    decoder.decode(encode(scan(**{"x" * 1_000: 1, "x" * 999: 2})))
    assert decoder.take_unknown() == {"x" * 64: 2}


def test_names_are_remembered_within_a_bound(monkeypatch):
    monkeypatch.setattr("reactor.evaluate.record.NAMES_MAX", 100)
    decoder = Decoder()
    for i in range(1_000):
        assert isinstance(decoder.decode(encode(scan(stream=f"s{i}", prices={f"S{i}": 1.0}))), Scan)
        assert len(decoder.streams) <= 100
        assert len(decoder.symbols) <= 100


def test_of_two_forms_the_multiplier_is_used():
    for name, value in (
        ("acb", {"signals": 3.0, "boost": 1.5}),
        ("ob", {"eff_imb": 0.2, "agree": 0.9, "n_assets": 4, "mult": 1.1}),
        ("esof", {"score": "rubbish", "mult": 0.9}),
    ):
        record = Decoder().decode(encode(plane(name, value)))
        form = FORMS[name][0][0]
        assert msgspec.to_builtins(record.value) == {form: value[form]}


def test_a_fault_keeps_what_can_be_trusted_of_its_record():
    fault = Decoder().decode(encode(scan(scan_id=7, vel_div="x")))
    assert (fault.kind, fault.stream, fault.scan_id, fault.ts_ms) == ("scan", "ng7", 7, strategies.START_MS)
    assert Decoder().decode(encode(scan(scan_id=0, vel_div="x"))).scan_id == 0
    fault = Decoder().decode(encode(scan(stream="a b", scan_id=-1, ts_ms=2**63, kind="trade")))
    assert (fault.kind, fault.stream, fault.scan_id, fault.ts_ms) == ("", "", -1, -1)
    assert Decoder().decode(encode(plane("acb", {}))).kind == "plane"


# -- any bytes -----------------------------------------------------------------------------------------------------


@settings(max_examples=250)
@given(st.binary(max_size=64) | strategies.damaged() | strategies.records.map(encode))
@example(b'{"kind":"scan"')
@example(with_text(scan(), "context", b'{"x":"\xff"}'))
@example(with_text(scan(), "vel_div", "-0"))
def test_any_bytes_have_one_outcome_whichever_path_decides(raw):
    first, second = Decoder(), Decoder()
    record = first.decode(raw)
    assert isinstance(record, Scan | Plane | Fault)
    assert same(record) == same(second.decode(raw)) == same(first.decode(raw)) == same(second.slow(raw))


@settings(max_examples=200)
@given(strategies.damaged() | strategies.records.map(encode))
def test_a_record_is_accepted_exactly_where_the_contract_says_so(raw):
    accepted = not isinstance(Decoder().decode(raw), Fault)
    assert accepted == (oracle.parse(raw) is not None)


@settings(max_examples=300)
@given(strategies.records)
def test_a_valid_record_takes_one_typed_decode_and_loses_nothing(record):
    decoder = Decoder()
    if record.get("context", 0) is not None:  # a null there is looked at again
        decoder.slow = None
    decoded = decoder.decode(encode(record))
    got = msgspec.to_builtins(decoded) if isinstance(decoded, Plane) else msgspec.structs.asdict(decoded)
    for name, value in record.items():
        if name == "irp" and value:
            assert {s: msgspec.to_builtins(e) for s, e in got["irp"].items()} == value
        elif name not in ("kind", "context"):
            assert got[name] == value
    assert decoder.take_unknown() == {}


@settings(max_examples=500)
@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([repr, "{:.17g}".format, "{:.25e}".format]),
)
def test_a_float_on_the_wire_has_exactly_pythons_bits(value, spell):
    text = spell(value)
    if re.fullmatch(r"-?\d+", text):
        text += ".0"
    record = Decoder().decode(
        with_text(scan(w750=0.0), "vel_div", text).replace(b'"w750":0.0', b'"w750":%s' % text.encode())
    )
    assert struct.pack("<d", record.vel_div) == struct.pack("<d", float(text)) == struct.pack("<d", record.w750)


@settings(max_examples=200)
@given(st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
@example("9007199254740993")
@example("18446744073709551615")
@example("2.2250738585072011e-308")
@example("1.7976931348623158e308")
@example("4.9406564584124654e-324")
@example("0." + "0" * 400 + "1")
@example("8.41" + "0" * 900 + "1")
def test_any_spelling_of_a_number_has_pythons_bits_or_is_not_finite(text):
    record = Decoder().decode(with_text(scan(), "vel_div", text))
    value = json.loads(text)
    if abs(value) > sys.float_info.max:
        assert record.code is Reject.NON_FINITE
    else:
        assert struct.pack("<d", record.vel_div) == struct.pack("<d", float(value))


# -- the schema ----------------------------------------------------------------------------------------------------

TYPES = {
    "object": lambda x: isinstance(x, dict), "string": lambda x: isinstance(x, str), "null": lambda x: x is None,
    "integer": lambda x: type(x) is int, "number": lambda x: type(x) in (int, float),
}  # fmt: skip


def fits(value, rule, defs):
    """Whether a value fits a JSON Schema: the keywords that ours uses, any other raises."""
    checks = {
        "$ref": lambda ref: fits(value, defs[ref.removeprefix("#/$defs/")], defs),
        "type": lambda names: any(TYPES[n](value) for n in ([names] if isinstance(names, str) else names)),
        "enum": lambda values: any(value == v and type(value) is type(v) for v in values),
        "const": lambda wanted: value == wanted,
        "anyOf": lambda rules: any(fits(value, r, defs) for r in rules),
        "allOf": lambda rules: all(fits(value, r, defs) for r in rules),
        "if": lambda condition: not fits(value, condition, defs) or fits(value, rule["then"], defs),
        "then": lambda _: True,
        "required": lambda names: not isinstance(value, dict) or set(names) <= set(value),
        "properties": lambda rules: (
            not isinstance(value, dict) or all(fits(value[n], r, defs) for n, r in rules.items() if n in value)
        ),
        "additionalProperties": lambda r: not isinstance(value, dict) or all(fits(v, r, defs) for v in value.values()),
        "propertyNames": lambda r: not isinstance(value, dict) or all(fits(n, r, defs) for n in value),
        "minProperties": lambda n: not isinstance(value, dict) or len(value) >= n,
        "pattern": lambda p: not isinstance(value, str) or re.search(p.replace("$", r"\Z"), value) is not None,
        "minLength": lambda n: not isinstance(value, str) or len(value) >= n,
        "maxLength": lambda n: not isinstance(value, str) or len(value) <= n,
        "minimum": lambda n: not TYPES["number"](value) or value >= n,
        "maximum": lambda n: not TYPES["number"](value) or value <= n,
        "exclusiveMinimum": lambda n: not TYPES["number"](value) or value > n,
        "exclusiveMaximum": lambda n: not TYPES["number"](value) or value < n,
        **dict.fromkeys(("title", "description", "default", "discriminator", "$defs"), lambda _: True),
    }
    return all(checks[keyword](content) for keyword, content in rule.items())


@settings(max_examples=150)
@given(strategies.records)
def test_the_schema_accepts_what_the_decoder_accepts(record):
    whole = schema()
    assert fits(record, whole, whole["$defs"])
    assert fits(record | {"note": [1]}, whole, whole["$defs"])


@pytest.mark.parametrize(
    ("record", "expected"),
    [*((scan(**f), c) for f, c in SCANS), *((plane(n, v), c) for n, v, c in PLANES),
     *((plane("mc", {"scale": 1.0}, seq=s), c) for s, c in SEQS)],
    ids=repr,
)  # fmt: skip
def test_the_schema_judges_every_edge_as_the_decoder_does(record, expected):
    whole = schema()
    if expected is not Reject.NON_FINITE:  # JSON's numbers have no end
        assert fits(record, whole, whole["$defs"]) == (expected is None)


def test_the_schema_is_json():
    assert json.loads(json.dumps(schema())) == schema()
