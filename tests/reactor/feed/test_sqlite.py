"""SQLite: the rows of a table as the database holds them, plain or packed, and never a change to it."""

import gzip
import hashlib
import sqlite3
from contextlib import closing

import pytest

from journal.refusal import Refusal
from reactor.feed import table


@pytest.fixture
def database(tmp_path):
    """database(*statements, name) -> the path of a database that they made."""

    def make(*statements, name="x.sqlite"):
        path = tmp_path / name
        with closing(sqlite3.connect(path)) as connection, connection:
            for statement in statements:
                connection.execute(statement)
        return path

    return make


def rows(path, *names):
    return list(table.rows(path, table.Layout(rows=tuple((name,) for name in names))))


TRADES = ("CREATE TABLE trades(id, note)", "INSERT INTO trades VALUES (1, NULL), (2.5, 'ü'), (3, x'ff')")


def test_the_rows_of_the_only_table(database):
    path = database(*TRADES)
    before = hashlib.sha256(path.read_bytes()).digest()
    found = rows(path)
    assert [(row.place, row.fields) for row in found[:2]] == [
        ("row 1", {"id": 1, "note": None}),
        ("row 2", {"id": 2.5, "note": "ü"}),
    ]
    assert found[0].raw == b'{"id":1,"note":null}'
    assert found[2].fields["note"] == b"\xff".decode(errors="surrogateescape")
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert sorted(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["x.db", "x y?#%.sqlite3", "x"])
def test_a_database_is_known_by_its_content(database, name):
    path = database(*TRADES, name=name)
    packed = path.with_name("packed.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert len(rows(path)) == len(rows(packed)) == 3


def test_a_database_that_is_written_to_is_read_as_it_stands(database):
    path = database("PRAGMA journal_mode = wal", *TRADES)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("INSERT INTO trades VALUES (4, 'late')")
        writer.commit()
        assert len(rows(path)) == 4
    packed = path.with_name("packed.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert len(rows(packed)) == 4


def test_one_of_several_tables_is_named(database):
    path = database(*TRADES, "CREATE TABLE orders(id)", "INSERT INTO orders VALUES (7)")
    assert [row.fields for row in rows(path, "nosuch", "orders")] == [{"id": 7}]
    with pytest.raises(Refusal, match='has 2 tables; it has orders, trades; fix: rows = "orders"'):
        rows(path)
    with pytest.raises(Refusal, match="no table 'nosuch'; it has orders, trades"):
        rows(path, "nosuch")


def test_a_database_that_is_cut_or_empty_is_refused(database, tmp_path):
    path = database(*TRADES)
    cut = tmp_path / "cut.sqlite"
    cut.write_bytes(path.read_bytes()[:100])
    with pytest.raises(Refusal, match="must be a whole SQLite database"):
        rows(cut)
    with pytest.raises(Refusal, match="must hold at least one row, was empty"):
        rows(database("CREATE TABLE t(a)", name="empty.sqlite"))
    with pytest.raises(Refusal, match="has 0 tables; it has none; fix: name another file"):
        rows(database("PRAGMA user_version = 1", name="none.sqlite"))
