"""Rows: the hash as ClickHouse would compute it, reasons as a mask, blocks by digest."""

import hashlib
import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.row import (
    COLUMNS,
    KEY,
    SCORED,
    SEED,
    TABLES,
    Batch,
    Coded,
    Rows,
    fold,
    row_hash_sql,
    rows,
    string_word,
    table_columns,
)
from lanes.code import Outcome, Reason

MASK = 2**64 - 1
words = st.integers(0, MASK)


def int_hash64(x):
    """ClickHouse's intHash64 in plain integers: a xor, then murmur3's finalizer."""
    x ^= 0x4CF2D2BAAE6DA887
    x = ((x ^ x >> 33) * 0xFF51AFD7ED558CCD) & MASK
    x = ((x ^ x >> 33) * 0xC4CEB9FE1A85EC53) & MASK
    return x ^ x >> 33


def folded(row):
    h = SEED
    for word in row:
        h = int_hash64(h ^ word)
    return h


def word(value):
    """The word of a stored value, from the contract alone."""
    if isinstance(value, float):
        return struct.unpack("<Q", struct.pack("<d", value))[0]
    if isinstance(value, int):
        return value % 2**64
    text = value if isinstance(value, bytes) else value.encode()
    return struct.unpack("<Q", hashlib.sha256(text).digest()[:8])[0]


def scored(n=3, **columns):
    """n scored rows that differ in their scan ids, some columns given."""
    every = {}
    for column in SCORED:
        if column.word == "string":
            every[column.name] = Coded(np.zeros(n, np.int32), ["some"])
        elif column.word == "float":
            every[column.name] = np.full(n, 1.5)
        else:
            every[column.name] = np.arange(n, dtype=np.int64)
    return every | columns


def block(offsets=(0, 1, 2), **columns):
    return rows(Outcome.DECISION, np.array(offsets, dtype=np.int64), scored(len(offsets), **columns))


# -- the hash ------------------------------------------------------------------------------------------------------


def test_the_finalizer_is_clickhouses():
    # SELECT intHash64(0), intHash64(1), intHash64(18446744073709551615), by ClickHouse itself
    assert [int_hash64(x) for x in (0, 1, MASK)] == [
        4761183170873013810, 10577349846663553072, 14600443904207254319,
    ]  # fmt: skip


@settings(max_examples=100)
@given(st.lists(st.tuples(words, words, words), max_size=6))
def test_the_fold_is_the_one_in_plain_integers(table):
    columns = [np.array([row[i] for row in table], dtype=np.uint64) for i in range(3)]
    assert fold(columns, len(table)).tolist() == [folded(row) for row in table]


def test_a_row_without_words_is_the_seed():
    assert fold([], 2).tolist() == [SEED, SEED]


def test_a_rows_hash_is_the_fold_of_its_stored_values_in_the_columns_order():
    values = {
        "stream": ["a", "b", "a"], "asset": ["", "BTCUSDT", "\u00e9"], "scan_id": [0, 2**63 - 1, 7],
        "w750": [float("nan"), -0.0, 5e-324], "reasons": [0, 2**63, 1], "bound": [0, 4, 1],
    }  # fmt: skip
    typed = {
        "stream": Coded(np.array([1, 0, 1], np.int32), ["b", "a"]),
        "asset": values["asset"],
        "scan_id": np.array(values["scan_id"], np.int64),
        "w750": np.array(values["w750"]),
        "reasons": np.array(values["reasons"], np.uint64),
        "bound": np.array(values["bound"], np.int8),
    }
    found = block(**typed)
    for i in range(3):
        row = [
            values[c.name][i] if c.name in values else "some" if c.word == "string" else 1.5 if c.word == "float" else i
            for c in SCORED
        ]
        assert int(found.hashes[i]) == folded(map(word, row))


@pytest.mark.parametrize("column", [c.name for c in SCORED])
def test_every_scored_column_is_in_the_hash(column):
    changed = scored()[column]
    if isinstance(changed, Coded):
        changed = Coded(np.array([0, 1, 0], np.int32), ["some", "other"])
    elif changed.dtype == np.float64:
        changed = np.array([1.5, np.nextafter(1.5, 2.0), 1.5])
    else:
        changed = np.array([0, 9, 2], np.int64)
    before, after = block().hashes.tolist(), block(**{column: changed}).hashes.tolist()
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]


def test_the_hash_knows_columns_apart():
    assert block(base=np.full(3, 2.0), dc=np.full(3, 3.0)).hash != block(base=np.full(3, 3.0), dc=np.full(3, 2.0)).hash


def test_the_key_and_the_side_are_not_in_the_hash():
    names = {c.name for c in SCORED}
    assert names.isdisjoint(c.name for c in KEY)
    assert block((0, 1, 2)).hash == block((10, 20, 30)).hash


def test_a_zero_and_its_negative_have_two_hashes_and_every_nan_of_ours_one():
    assert block(w750=np.full(3, 0.0)).hash != block(w750=np.full(3, -0.0)).hash
    assert block(w750=np.full(3, np.nan)).hash == block(w750=np.array([float("nan")] * 3)).hash


def test_a_string_column_hashes_alike_as_codes_and_as_a_list():
    names = ["x", "", "\u00fc"]
    coded = Coded(np.array([2, 0, 1], np.int32), names)
    assert block(asset=coded).hashes.tolist() == block(asset=coded.strings()).hashes.tolist()
    assert block(asset=[s.encode() for s in coded.strings()]).hash == block(asset=coded).hash


def test_the_sum_is_the_same_in_any_order_and_wraps():
    whole = block(tuple(range(9)))
    parts = whole.take(np.array([8, 1, 3])), whole.take(np.array([0, 2, 4, 5, 6, 7]))
    assert whole.hash == sum(part.hash for part in parts) % 2**64 == sum(map(int, whole.hashes)) % 2**64
    assert whole.take(np.array([], np.int64)).hash == 0


def test_a_strings_word_is_the_start_of_its_sha_256():
    assert string_word("") == 0x141CFC9842C4B0E3  # e3b0c44298fc1c14, little endian
    assert string_word("BTCUSDT") == string_word(b"BTCUSDT") == word("BTCUSDT")


# -- the hash in SQL -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(Outcome))
def test_the_hash_in_sql_folds_the_same_columns_in_the_same_order(kind):
    sql = row_hash_sql(kind)
    named = [c.name for c in COLUMNS[kind] if c.word]
    assert (
        re.findall(
            r"reinterpretAsUInt64\((?:toInt64\(|assumeNotNull\(|substring\((?:if\(empty\(\w+\), )?SHA256\()?(\w+)", sql
        )
        == named
    )
    assert sql.count("intHash64(bitXor(") == len(named)
    assert sql.count("(") == sql.count(")")
    assert f"toUInt64({SEED})" in sql
    assert ";" not in sql


def test_the_hash_in_sql_takes_each_column_by_its_type():
    for kind in Outcome:
        for column in COLUMNS[kind]:
            stored, in_hash = column.type, column.word
            assert (stored in ("Float64", "Nullable(Float64)")) == (in_hash == "float")
            assert ("String" in stored) == (in_hash in ("string", "") and "Int" not in stored)


# -- reasons -------------------------------------------------------------------------------------------------------


def test_every_reason_fits_the_mask():
    assert sum(1 << reason for reason in Reason) < 2**63


# -- blocks --------------------------------------------------------------------------------------------------------


def test_the_digest_names_offsets_and_rows():
    base = block()
    assert base.digest() == block().digest()
    assert re.fullmatch(r"[0-9a-f]{32}", base.digest())
    others = [
        block((0, 1, 3)), block((1, 0, 2)), block(w750=np.array([1.5, 1.5, 1.6])), base.take(np.array([0, 1])),
        base.take(np.array([], np.int64)),
    ]  # fmt: skip
    assert len({each.digest() for each in [base, *others]}) == 6


def test_taking_rows_takes_every_column_and_its_hash():
    whole = block((5, 6, 7), asset=["a", "b", "c"], stream=Coded(np.array([0, 1, 0], np.int32), ["x", "y"]))
    some = whole.take(np.array([2, 1]))
    assert len(some) == 2
    assert some.offsets.tolist() == [7, 6]
    assert some.columns["asset"] == ["c", "b"]
    assert some.columns["stream"].strings() == ["x", "y"]
    assert some.columns["scan_id"].tolist() == [2, 1]
    assert some.hashes.tolist() == [int(whole.hashes[2]), int(whole.hashes[1])]


def test_codes_spell_their_names():
    assert Coded(np.array([1, 0, 1], np.int32), ["a", "b"]).strings() == ["b", "a", "b"]
    assert Coded(np.zeros(3, np.int32), ["a"]).strings() == ["a"] * 3
    assert Coded(np.zeros(0, np.int32), []).strings() == []


def test_the_content_hash_is_of_decisions_and_evaluations_alone():
    empty = block(())
    kinds = dict.fromkeys(Outcome, empty)
    plain = {"topic": "t", "partition": 0, "segment": 1, "first": 0, "last": 2, "state": b"{}"}
    decided = Batch(rows=kinds | {Outcome.DECISION: block()}, **plain)
    evaluated = Batch(rows=kinds | {Outcome.EVALUATION: block()}, **plain)
    both = Batch(rows=kinds | {Outcome.DECISION: block(), Outcome.EVALUATION: block()}, **plain)
    rejected = Batch(rows=kinds | {Outcome.REJECT: Rows(np.arange(1), {}, np.array([7], np.uint64))}, **plain)
    assert decided.content_hash == evaluated.content_hash == block().hash
    assert both.content_hash == 2 * block().hash % 2**64
    assert rejected.content_hash == 0


@pytest.mark.parametrize("kind", list(Outcome))
def test_a_table_has_its_key_first_and_no_column_twice(kind):
    names = list(table_columns(kind))
    assert names[:5] == ["run_id", "segment", "topic", "partition", "log_offset"]
    assert len(names) == 5 + len(COLUMNS[kind])
    assert TABLES[kind] == f"violet_{kind.name.lower()}s"
