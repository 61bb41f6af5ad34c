"""The connection to ClickHouse: exact values, one block a token, and no told from not now."""

import math
import subprocess
import sys

import numpy as np
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from journal import store as module
from journal.engine import address
from journal.engine.address import Address
from journal.row import Coded
from journal.store import AWAY_CODES, TOO_LARGE_CODES, JournalAway, JournalRefused, JournalTooLarge, _errors, connect
from tests.written import begin, decisions

TYPES = {"n": "Int64", "x": "Float64", "s": "LowCardinality(String)"}


@pytest.fixture(scope="module")
def table(store):
    store.command(
        "CREATE TABLE scratch_of_store (n Int64, x Float64, s LowCardinality(String), CONSTRAINT small CHECK n < 1000) "
        "ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100"
    )
    yield "scratch_of_store"
    store.command("DROP TABLE scratch_of_store")


@pytest.fixture(autouse=True)
def emptied(store, table):
    store.command(f"TRUNCATE TABLE {table}")


def test_what_the_driver_logs_is_not_printed_among_our_words():
    script = "import logging, journal.store; logging.getLogger('clickhouse_connect.driver').warning('its words')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("", "")


def put(store, table, ns, token, names="ab"):
    coded = Coded(np.array([n % len(names) for n in ns], dtype=np.int32), list(names))
    store.insert(table, {"n": ns, "x": [n / 3 for n in ns], "s": coded}, TYPES, token)


def read(store, table):
    return store.rows(f"SELECT n, x, s FROM {table} ORDER BY n")


def test_values_come_back_bit_for_bit_and_coded_names_spelled_out(store, table):
    put(store, table, [1, 2, 5], "t1", names=["unused", "b", "c", "never"])
    assert read(store, table) == [
        {"n": 1, "x": 1 / 3, "s": "b"},
        {"n": 2, "x": 2 / 3, "s": "c"},
        {"n": 5, "x": 5 / 3, "s": "b"},
    ]
    wild = [math.nan, math.inf, -0.0, 5e-324, 0.1 + 0.2]
    store.command(f"TRUNCATE TABLE {table}")
    store.insert(table, {"n": range(5), "x": np.array(wild), "s": ["é"] * 5}, TYPES, "t2")
    assert [row["x"].hex() for row in read(store, table)] == [x.hex() for x in wild]


def test_a_token_makes_a_second_time_harmless_and_another_one_does_not(store, table):
    for token in ("one", "one", "two"):
        put(store, table, [7], token)
    assert len(read(store, table)) == 2
    with pytest.raises(ValueError, match="must have a deduplication token"):
        put(store, table, [8], "")


def test_a_block_goes_in_whole_or_not_at_all(store, table):
    with pytest.raises(JournalRefused) as refused:
        put(store, table, [1, 1000, 2], "t3")
    assert refused.value.code == 469
    assert read(store, table) == []


def test_parameters_are_bound_and_not_pasted(store, table):
    put(store, table, [1, 2], "t4")
    assert store.rows(f"SELECT n FROM {table} WHERE s = {{s:String}}", {"s": "a' OR 1 = 1 --"}) == []
    assert store.command("SELECT {n:UInt64} + 1", {"n": 2**63}) == 2**63 + 1


def test_blocks_hold_every_row_by_column(store, table):
    put(store, table, [3, 1, 2], "t5")
    found = [
        row
        for block in store.blocks(f"SELECT n, s FROM {table} ORDER BY n")
        for row in zip(block["n"], block["s"], strict=True)
    ]
    assert found == [(1, "b"), (2, "a"), (3, "b")]


def test_no_is_told_from_not_now(store, table):
    with pytest.raises(JournalRefused) as refused:
        store.rows("SELECT * FROM no_such_table")
    assert (refused.value.code, "no_such_table" in str(refused.value)) == (60, True)
    for code in AWAY_CODES:
        with pytest.raises(JournalAway):
            store.rows(f"SELECT throwIf(1, 'short', {code}::Int16) SETTINGS allow_custom_error_code_in_throwif = 1")
    assert not AWAY_CODES & ({60} | TOO_LARGE_CODES)
    with pytest.raises(ZeroDivisionError), _errors():
        raise ZeroDivisionError  # a fault of ours is nobody else's


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (
            "SELECT count() FROM (SELECT number FROM numbers(5000000) GROUP BY number) SETTINGS max_memory_usage = 10000000",
            241,
        ),
        ("SELECT sleep(1) SETTINGS max_execution_time = 0.1", 159),
    ],
)
def test_too_much_is_told_from_not_there_by_name(store, question, code):
    with pytest.raises(
        JournalTooLarge, match="the question is too large for ClickHouse .*; fix: ask about less"
    ) as found:
        store.rows(question)
    assert found.value.code == code


def test_an_insert_that_finds_no_memory_waits_for_some(store, table):
    """The same block may go in when others have let go of theirs."""
    with pytest.raises(JournalAway), _errors():
        raise DatabaseError("Memory limit exceeded", code=241)


def test_a_question_that_is_not_answered_in_time_is_too_large_where_others_are_answered(journal, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", 1)
    with connect(address.read(journal.data, address.WRITER)) as store:
        with pytest.raises(JournalTooLarge, match="no answer in time"):
            store.rows("SELECT sleep(2)")
        assert store.answers()


def test_a_question_ends_at_clickhouse_before_it_is_given_up_here(store, monkeypatch):
    monkeypatch.setitem(module._LIMITS, "max_execution_time", 1)
    with pytest.raises(JournalTooLarge) as found:
        store.rows("SELECT count() FROM numbers(100000000000) WHERE intHash64(number) = 1")
    assert found.value.code == 159
    assert module.QUESTION_S < module.TIMEOUT_S


def test_nobody_there_is_told_with_the_address_and_the_fix():
    with pytest.raises(
        JournalAway, match=r"no ClickHouse answers at http://127.0.0.1:1 \(.*\); fix: start it, or name another"
    ):
        connect(Address("http://127.0.0.1:1", "u", "p"))


def test_a_run_is_there_for_every_connection(store):
    written = begin(store)
    written.append(decisions(2))
    assert written.value("SELECT count() FROM decisions WHERE run_id = {run:String}") == 2


def test_columns_of_more_bytes_than_an_insert_may_hold_go_in_several(store, table, monkeypatch):
    monkeypatch.setattr(module, "BODY_BYTES", 100)
    for _ in range(2):  # the same again is nothing
        put(store, table, list(range(50)), "large")
    assert [row["n"] for row in read(store, table)] == list(range(50))
    assert store.count("SELECT count() FROM system.parts WHERE table = 'scratch_of_store'") > 1
