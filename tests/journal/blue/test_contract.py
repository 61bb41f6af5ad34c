"""The contract as a document: one form, one hash, and nothing in it that can be changed unseen."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.blue.contract import (
    Blue,
    Code,
    Contract,
    Floors,
    Lineage,
    Log,
    Margins,
    Pairing,
    Params,
    Runtime,
    Window,
    canonical,
    checked,
    differences,
    following,
    read,
    terms,
)
from journal.refusal import Refusal

CONTRACT = Contract(
    format="violet-contract/1", run_id="r", code=Code(version="0.1.0", code_hash="c0de", wheel="w"), math_fingerprint="m",
    log=Log(identity={"kind": "archive", "lines": 3}, partitions=1, ranges=None, chain=None),
    blue=Blue(label="STAND-IN", imports=None, said=None), window=Window(from_ms=1_746_372_780_000, to_ms=1_746_372_840_000),
    universe=("BTCUSDT",), params=Params(profile="blue_8b", hash="p", values={"base": {"thr": -0.02}}), kernels={},
    runtime=Runtime(warm="EXACT", absent=(), standins=("ob",), versions={"python": "3.11"}),
    pairing=Pairing(tolerance_ms=300_000, clock_ms=30_000), margins=Margins(leverage=0.1, notional=None), alpha=0.05,
    floors=Floors(pairs=1, pair_rate=0.95, scans=0.99), allowed=(), lineage=Lineage(follows=None, changed=()),
)  # fmt: skip
DOCUMENT = msgspec.to_builtins(CONTRACT)


def spoilt(path, value):
    """The document with one field set, or taken out where the value is ...."""
    document = json.loads(CONTRACT.text)
    *way, last = path.split(".")
    table = document
    for name in way:
        table = table[name]
    if value is ...:
        del table[last]
    else:
        table[last] = value
    return canonical(document)


def test_a_document_reads_back_to_the_same_bytes_and_hash():
    assert read(CONTRACT.text, "f") == CONTRACT
    assert read(CONTRACT.text, "f").hash == CONTRACT.hash
    assert CONTRACT.text == json.dumps(DOCUMENT, sort_keys=True, separators=(",", ":")).encode()


@given(st.integers(0, len(CONTRACT.text) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_gives_another_hash(place, flip):
    data = bytearray(CONTRACT.text)
    data[place] ^= flip
    said = ""
    try:
        assert read(bytes(data), "f").hash != CONTRACT.hash
    except Refusal as refusal:
        said = str(refusal)
    assert not said or ("fix: " in said and "\n" not in said)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (spoilt("surprise", 1), "unknown field `surprise`"), (spoilt("window.zone", "UTC"), "unknown field `zone` - at `$.window`"),
        (spoilt("alpha", "0.05"), "Expected `float`, got `str` - at `$.alpha`"), (spoilt("alpha", 1.0), "$.alpha"),
        (spoilt("floors.pairs", 0), "$.floors.pairs"), (spoilt("margins.leverage", 0.0), "$.margins.leverage"),
        (spoilt("code.wheel", ...), "missing required field `wheel` - at `$.code`"), (spoilt("format", "violet-contract/2"), "$.format"),
        (spoilt("blue.label", "real"), "$.blue.label"), (spoilt("window.to_ms", DOCUMENT["window"]["from_ms"]), "before window.to_ms"),
        (spoilt("allowed", [{"kind": "LOGIC", "reason": "", "expires": "2026-01-01"}]), "$.allowed[0].reason"),
        (CONTRACT.text + b"\n", "canonical"), (CONTRACT.text.replace(b'"alpha":0.05', b'"alpha":5e-2'), "canonical"),
        (CONTRACT.text.replace(b'"alpha":0.05', b'"alpha":0.05,"alpha":0.05'), "canonical"), (b"", "contract must have"),
        (CONTRACT.text.replace(b'"alpha":', b'"alpha": '), "canonical"), (b"\xff", "contract must have"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_document_is_one_line_that_names_the_rule_and_the_fix(data, words):
    with pytest.raises(Refusal) as refused:
        read(data, "week.json")
    said = str(refused.value)
    assert said.startswith("week.json: ")
    assert words in said
    assert "fix: " in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("alpha", 1.5, "--alpha must be `float` < 1.0, was 1.5; fix: "), ("alpha", float("nan"), "--alpha must be finite, was nan; fix: "),
        ("margins", Margins(leverage=-1.0, notional=None), "--leverage must be `float` > 0.0, was -1.0; fix: "),
    ],
)  # fmt: skip
def test_a_value_out_of_its_bounds_is_refused_by_what_sets_it_before_it_is_kept(field, value, words):
    flags = {"alpha": "--alpha", "margins.leverage": "--leverage"}
    with pytest.raises(Refusal, match=words):
        checked(msgspec.structs.replace(CONTRACT, **{field: value}), flags)


def test_what_moves_with_the_window_is_no_term_and_what_is_chosen_is_one():
    later = msgspec.structs.replace(
        CONTRACT, run_id="r2", window=Window(from_ms=1_746_372_840_000, to_ms=1_746_372_900_000),
        log=Log(identity={"kind": "archive", "lines": 4}, partitions=1, ranges=(), chain="c"),
    )  # fmt: skip
    assert differences(later, CONTRACT) == (
        "log.chain", "log.identity.lines", "log.ranges", "run_id", "window.from_ms", "window.to_ms",
    )  # fmt: skip
    assert terms(differences(later, CONTRACT)) == ()
    other = msgspec.structs.replace(later, margins=Margins(leverage=0.2, notional=None))
    assert terms(differences(other, CONTRACT)) == ("margins.leverage",)


def test_a_contract_follows_another_by_its_hash_and_the_same_again_is_the_same():
    later = msgspec.structs.replace(CONTRACT, alpha=0.01)
    found = following(later, CONTRACT)
    assert found.lineage == Lineage(follows=CONTRACT.hash, changed=("alpha",))
    assert following(later, None) is later
    assert following(CONTRACT, found) != CONTRACT
    assert following(msgspec.structs.replace(later), found) is found
