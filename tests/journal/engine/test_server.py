"""ClickHouse's HTTP protocol, as curl and the stock clickhouse-connect client speak it."""

import gzip
import json
import shutil
import socket
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clickhouse_connect
import numpy as np
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from journal.engine.address import Address
from journal.engine.server import STRANGERS
from journal.store import JournalAway, JournalRefused, connect
from reactor.log.archive import zstd


@pytest.fixture
def fresh(store, table):
    """The name of an empty table with a constraint."""
    name = f"t_{uuid.uuid4().hex[:8]}"
    store.command(table[0].format(name=name))
    yield name
    store.command(f"DROP TABLE {name}")


@pytest.fixture
def client(running):
    opened = clickhouse_connect.get_client(
        host=running.reader.host, port=running.reader.port, username="reader", password=running.reader.token
    )
    yield opened
    opened.close()


def test_ping_needs_no_login(running, http):
    reply = http(running.reader, path="/ping", method="GET", auth=False)
    assert (reply.status, reply.body) == (200, b"Ok.\n")


def test_strangers_that_hold_connections_go_before_they_are_too_many_and_nobody_else(running, http, client):
    assert client.query("SELECT 1").result_rows == [(1,)]
    files, idle = Path(f"/proc/{running.engine.pid}/fd"), []
    before = len(list(files.iterdir()))
    try:
        for _ in range(3 * STRANGERS):
            idle.append(socket.create_connection((running.reader.host, running.reader.port), 10))
            idle[-1].sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-a: ")
        assert idle[0].recv(1) == b""
        assert http(running.writer, "SELECT 1").text == "1\n"
        deadline = time.monotonic() + 10
        while len(list(files.iterdir())) > before + STRANGERS + 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(list(files.iterdir())) <= before + STRANGERS + 4
        assert client.query("SELECT 2").result_rows == [(2,)]
    finally:
        for each in idle:
            each.close()


@pytest.mark.parametrize("user", ["reader", "writer", "", "root"])
def test_a_wrong_login_is_403_and_code_516(running, http, user):
    reply = http(Address(running.reader.url, user, running.reader.token + "x"), "SELECT 1")
    assert (reply.status, reply.code) == (403, 516)


def test_the_readers_token_is_not_the_writers(running, http):
    assert http(Address(running.reader.url, "writer", running.reader.token), "SELECT 1").code == 516


def test_a_login_may_come_in_headers_or_parameters(running, http):
    keys = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": running.reader.token}
    assert http(running.reader, "SELECT 1", auth=False, headers=keys).text == "1\n"
    assert http(running.reader, "SELECT 1", auth=False, user="reader", password=running.reader.token).text == "1\n"
    assert http(running.reader, "SELECT 1", auth=False).code == 516


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "localhost@evil"])
def test_a_name_that_is_not_loopback_is_refused(running, http, host):
    assert http(running.reader, "SELECT 1", headers={"Host": host}).status == 403
    assert http(running.reader, "SELECT 1", headers={"Host": "localhost:1"}).status == 200


def test_clickhouse_go_is_told_revision_0_in_its_own_frame(running, http):
    asked = "SELECT displayName(), version(), revision(), timezone()"
    body = http(running.reader, asked, client_protocol_version="54460", default_format="Native").body
    assert body[:10] == bytes([1, 0, 2, 255, 255, 255, 255, 0, 4, 1])  # the block's header, four columns, one row
    found, rest = {}, body[10:]
    for _ in range(4):
        name, kind = (rest[1 : rest[0] + 1], rest[rest[0] + 2 : rest[0] + 2 + rest[rest[0] + 1]])
        rest = rest[2 + len(name) + len(kind) :]
        assert rest[0] == 0  # no custom serialization
        size = 4 if kind == b"UInt32" else rest[1] + 1
        found[name], rest = rest[1 : 1 + size], rest[1 + size :]
    assert rest == b""
    version = http(running.reader, "SELECT version() FORMAT RawBLOB").body
    assert list(found) == [b"displayName()", b"version()", b"revision()", b"timezone()"]
    assert list(found.values())[1:] == [bytes([len(version)]) + version, bytes(4), b"\x03UTC"]


def test_no_other_question_is_framed_so(running, http):
    asked = "SELECT displayName(), version(), revision(), timezone()"
    assert (
        http(running.reader, "SELECT 1 AS a", client_protocol_version="54460", default_format="Native").body[:2]
        == b"\x01\x01"
    )
    assert http(running.reader, asked, default_format="Native").body[:2] == b"\x04\x01"


def test_answers_carry_clickhouses_headers(running, http):
    reply = http(running.reader, "SELECT 1 AS a FORMAT JSON", query_id="q-1")
    assert json.loads(reply.body)["data"] == [{"a": 1}]
    assert reply.headers["X-ClickHouse-Format"] == "JSON"
    assert reply.headers["X-ClickHouse-Timezone"] == "UTC"
    assert reply.headers["X-ClickHouse-Query-Id"] == "q-1"
    assert "read_rows" in json.loads(reply.headers["X-ClickHouse-Summary"])
    assert http(running.reader, "SELECT timezone(), toTypeName(now())").text == "UTC\tDateTime\n"
    assert http(running.reader, "SELECT 1", query_id="a\r\nX: y").code == 36


def test_default_format_and_form_fields_work(running, http):
    assert http(running.reader, "SELECT 1 AS a", default_format="CSVWithNames").text == '"a"\n1\n'
    form = '--b\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT {x:String}\r\n'
    form += '--b\r\nContent-Disposition: form-data; name="param_x"\r\n\r\nü\\tz\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert http(running.reader, body=form.encode(), headers=headers).text == "ü\\tz\n"


@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity"])
def test_an_insert_may_be_compressed(running, store, http, fresh, coding):
    pack = {"gzip": gzip.compress, "zstd": zstd.compress, "identity": bytes}[coding]
    headers = {"Content-Encoding": coding} if coding != "identity" else {}
    body = pack(f"INSERT INTO {fresh} FORMAT TSV\n1\ta\t0.5\n2\tb\t1.5\n".encode())
    reply = http(running.writer, body=body, headers=headers)
    assert reply.status == 200, reply.text
    assert json.loads(reply.headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    http(
        running.writer,
        body=pack(b"3\tc\t2\n"),
        headers=headers,
        query=f"INSERT INTO {fresh} (n, s, x) FORMAT TSV",
    )
    assert store.rows(f"SELECT n FROM {fresh} ORDER BY n") == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_an_insert_may_be_chunked_and_values_may_hold_the_word_format(running, store, http, fresh):
    pieces = iter(
        [
            f"INSERT INTO `{fresh}` ".encode(),
            b"(n, s, x) SETTINGS async_insert = 0 FORMAT ",
            b"TSV\n1\ta\t1\n",
            b"2\tb\t1\n",
        ]
    )
    assert http(running.writer, body=pieces, headers={"Transfer-Encoding": "chunked"}).status == 200
    assert http(running.writer, f"INSERT INTO {fresh} VALUES (3, ' FORMAT TSV\n', 1)").status == 200
    assert store.rows(f"SELECT s FROM {fresh} ORDER BY n") == [{"s": "a"}, {"s": "b"}, {"s": " FORMAT TSV\n"}]


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nshort",
        b"GET /?" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /?query=SELECT+1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic ////\r\n\r\n",
        b"\x00\xff" * 1000,
    ],
)
def test_a_malformed_request_ends_nothing(running, http, raw):
    with socket.create_connection((running.reader.host, running.reader.port), timeout=5) as wire:
        wire.sendall(raw)
        wire.shutdown(socket.SHUT_WR)
        answer = wire.recv(65_536)
    assert b" 200 " not in answer.split(b"\r\n", 1)[0]
    assert running.engine.alive()
    assert http(running.reader, "SELECT 1").text == "1\n"


def test_a_request_that_is_too_large_is_refused(running, http):
    assert "at most" in http(running.reader, "SELECT 1" + " " * (1 << 20)).text
    bomb = gzip.compress(b"SELECT 1" + b" " * (256 << 20))
    assert http(running.reader, body=bomb, headers={"Content-Encoding": "gzip"}).code == 241  # MEMORY_LIMIT_EXCEEDED


def test_a_kept_connection_answers_again_after_an_error(running, client):
    for _ in range(3):
        with pytest.raises(DatabaseError, match="164"):
            client.command("DROP TABLE d")
        assert client.command("SELECT count() FROM d") == 3


def test_the_stock_client_reads_with_typed_parameters(client):
    assert client.query("SELECT s FROM d WHERE n = {n:Int64}", parameters={"n": 2}).result_rows == [("b",)]
    tricky = "a\tb\n'c\\ ü"
    assert client.query("SELECT {t:String} AS t", parameters={"t": tricky}).first_row == (tricky,)
    many = list(range(5_000))
    assert client.query("SELECT count() FROM d WHERE n IN {l:Array(Int64)}", parameters={"l": many}).first_row == (3,)
    assert client.query_np("SELECT x FROM d ORDER BY n").ravel().tolist() == [0.5, 1.5, 2.5]
    assert client.query("SELECT n, n, s FROM d LIMIT 0").column_names == ("n", "n", "s")
    with client.query_row_block_stream("SELECT number FROM numbers(90000)") as blocks:
        assert sum(len(block) for block in blocks) == 90_000


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_asks_as_the_readme_says(running):
    login = f"{running.reader.user}:{running.reader.token}"
    command = ["curl", "-sS", running.reader.url, "--user", login, "--data-binary", "SELECT count() FROM d"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "3\n"
    command = [
        "curl",
        "-sS",
        "-G",
        running.reader.url,
        "--user",
        login,
        "--data-urlencode",
        "query=SELECT 1 + 1",
    ]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "2\n"


def test_a_token_makes_a_second_insert_nothing_and_another_token_something(store, fresh, table):
    columns = {"n": np.arange(5), "s": ["é"] * 5, "x": np.zeros(5)}
    for token in ("a", "a", "b"):
        store.insert(fresh, columns, table[1], token)
    assert store.rows(f"SELECT count() AS c FROM {fresh}") == [{"c": 10}]
    with pytest.raises(ValueError, match="token"):
        store.insert(fresh, columns, table[1], "")


def test_a_violated_constraint_is_code_469_and_keeps_nothing(store, fresh, table):
    with pytest.raises(JournalRefused) as refused:
        store.insert(fresh, {"n": [1, 2], "s": ["a", "b"], "x": [1.0, float("nan")]}, table[1], "t")
    assert refused.value.code == 469
    assert store.rows(f"SELECT count() AS c FROM {fresh}") == [{"c": 0}]
    store.insert(fresh, {"n": [1], "s": ["a"], "x": [1.0]}, table[1], "t")
    assert store.rows(f"SELECT count() AS c FROM {fresh}") == [{"c": 1}]


def test_a_large_insert_is_one_block_under_one_token(store, fresh, table):
    columns = {"n": np.arange(200_000), "s": ["x" * 20] * 200_000, "x": np.ones(200_000)}
    for _ in range(2):
        store.insert(fresh, columns, table[1], "large")
    assert store.rows(f"SELECT count() AS c FROM {fresh}") == [{"c": 200_000}]
    assert store.rows(f"SELECT count() AS c FROM system.parts WHERE table = '{fresh}' AND active") == [{"c": 1}]


def test_blocks_stream_a_file_and_tell_an_error_in_mid_stream(store, tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("a,b\n" + "".join(f"{n},x{n}\n" for n in range(100_000)))
    got = list(store.blocks(f"SELECT a, b FROM file('{path}', 'CSVWithNames') ORDER BY a"))
    assert np.concatenate([block["a"] for block in got]).tolist() == list(range(100_000))
    assert list(got[0]["b"][:2]) == ["x0", "x1"]
    broken = store.blocks("SELECT number, throwIf(number = 5000000) FROM numbers(9000000)")
    assert next(broken)["number"][0] == 0
    with pytest.raises(JournalRefused, match="395"):
        list(broken)
    assert list(store.blocks("SELECT 1 AS a WHERE 0")) == []


def test_a_query_that_runs_on_stops_nobody(running, store, http, fresh, table):
    slow = "SELECT count() FROM numbers(100000000000) WHERE cityHash64(number) = 1"
    threads = [
        threading.Thread(target=http, args=(running.reader, slow), kwargs={"max_execution_time": "3"}) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    store.insert(fresh, {"n": [1], "s": ["a"], "x": [1.0]}, table[1], "beside")
    assert http(running.reader, f"SELECT count() FROM {fresh}").text == "1\n"
    assert time.monotonic() - began < 2.5
    for thread in threads:
        thread.join()


def test_readers_beside_writers_see_every_row_that_was_acknowledged(running, fresh, table):
    acknowledged, stop, seen = [0], threading.Event(), []

    def write(writer):
        with connect(running.writer) as mine:
            for batch in range(25):
                rows = {
                    "n": [writer * 100_000 + batch * 10 + i for i in range(10)],
                    "s": ["x"] * 10,
                    "x": [1.0] * 10,
                }
                mine.insert(fresh, rows, table[1], f"{writer}-{batch}")
                with lock:
                    acknowledged[0] += 10

    def read():
        with connect(running.reader) as mine:
            while not stop.is_set():
                least = acknowledged[0]
                row = mine.rows(f"SELECT count() AS c, uniqExact(n) AS u FROM {fresh}")[0]
                seen.append((least, row["c"], row["u"]))

    lock = threading.Lock()
    with ThreadPoolExecutor() as pool:
        readers = [pool.submit(read) for _ in range(3)]
        writers = [pool.submit(write, n) for n in range(2)]
        for done in writers:
            done.result()
        stop.set()
        for done in readers:
            done.result()
    assert len(seen) > 3
    assert all(least <= count == unique for least, count, unique in seen)
    assert acknowledged == [500]


def test_nobody_there_is_away_and_a_stranger_is_refused(running):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(JournalAway):
            connect(Address(f"http://127.0.0.1:{taken.getsockname()[1]}", "writer", "x"))
    with pytest.raises(JournalRefused) as refused:
        connect(Address(running.writer.url, "writer", "x"))
    assert refused.value.code == 516
