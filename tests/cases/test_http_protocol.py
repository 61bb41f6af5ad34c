"""Cases: the engine's door as other people's clients knock at it: headers, compression, settings, cancels, HEAD."""

import json
import socket
import threading
import time
from base64 import b64encode
from contextlib import ExitStack
from urllib.parse import urlencode

import lz4.block
import pytest

from journal.engine.running import PLACES

FOREVER = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) % 7 = 3"


def request(address, query, headers="", **params):
    """The bytes of a POST as the reader."""
    login = b64encode(f"{address.user}:{address.token}".encode()).decode()
    target = "/?" + urlencode(params)
    return (
        f"POST {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {login}\r\n{headers}"
        f"Content-Length: {len(query)}\r\n\r\n{query}"
    ).encode()


def opened(address, raw):
    connection = socket.create_connection((address.host, address.port), timeout=20)
    connection.sendall(raw)
    return connection


def test_format_and_database_come_by_headers_and_count_before_parameters(running, http):
    json = {"X-ClickHouse-Format": "JSONEachRow"}
    assert http(running.reader, "SELECT 1 AS a", headers=json, default_format="CSV").text == '{"a":1}\n'
    system = {"X-ClickHouse-Database": "system"}
    assert http(running.reader, "SELECT currentDatabase()", headers=system, database="default").text == "system\n"
    login = {"X-ClickHouse-User": running.reader.user, "X-ClickHouse-Key": running.reader.token}
    assert http(running.reader, "SELECT 2", headers=login, auth=False).text == "2\n"


def test_compress_gives_frames_of_lz4(running, http):
    body = http(
        running.reader, "SELECT number FROM numbers(300000) FORMAT RowBinary", compress="1", max_result_rows="300000"
    ).body
    plain = b""
    while body:
        assert body[16] == 0x82
        framed, size = int.from_bytes(body[17:21], "little"), int.from_bytes(body[21:25], "little")
        plain += lz4.block.decompress(body[25 : 16 + framed], uncompressed_size=size)
        body = body[16 + framed :]
    assert plain == b"".join(n.to_bytes(8, "little") for n in range(300_000))


@pytest.mark.parametrize(
    ("params", "query", "answer"),
    [
        ({"join_use_nulls": "1"}, "SELECT v FROM (SELECT 1 AS k) a LEFT JOIN (SELECT 2 AS k, 7 AS v) b USING k", "\\N\n"),
        ({"limit": "2"}, "SELECT number FROM numbers(3)", "0\n1\n"),
        ({"limit": "1", "offset": "1"}, "SELECT number, {run:String} FROM numbers(3)", "1\tnew\n"),
        ({"output_format_json_quote_64bit_integers": "1"}, "SELECT toUInt64(4603099048211308964) AS b FORMAT JSONEachRow", '{"b":"4603099048211308964"}\n'),
        ({"output_format_json_quote_64bit_integers": "0"}, "SELECT toUInt64(4603099048211308964) AS b FORMAT JSONEachRow", '{"b":4603099048211308964}\n'),
        ({"session_timezone": "Asia/Tokyo"}, "SELECT timezone()", "Asia/Tokyo\n"),
        ({"format_csv_delimiter": ";"}, "SELECT 1, 2 FORMAT CSV", "1;2\n"),
        ({"date_time_output_format": "iso"}, "SELECT toDateTime(0, 'UTC')", "1970-01-01T00:00:00Z\n"),
        ({"max_result_rows": "5", "result_overflow_mode": "break", "max_block_size": "5"}, "SELECT number FROM numbers(9)", "0\n1\n2\n3\n4\n"),
        ({"extremes": "1", "default_format": "TabSeparated"}, "SELECT number FROM numbers(3)", "0\n1\n2\n\n0\n2\n"),
        ({"send_progress_in_http_headers": "1", "wait_end_of_query": "1", "session_id": "s"}, "SELECT 1", "1\n"),
    ],
    ids=str,
)  # fmt: skip
def test_a_harmless_setting_is_honoured(running, http, params, query, answer):
    reply = http(running.reader, query, **params)
    assert (reply.status, reply.text) == (200, answer)


@pytest.mark.parametrize(
    ("params", "status", "code", "words"),
    [
        ({"nosuch": "1"}, 404, 115, "Unknown setting 'nosuch'"),
        ({"readonly": "0"}, 500, 164, "Cannot modify 'readonly' setting"),
        ({"allow_ddl": "1"}, 500, 164, "'allow_ddl'"),
        ({"allow_introspection_functions": "1"}, 500, 164, "'allow_introspection_functions'"),
        ({"format_schema": "/etc/passwd:a"}, 500, 164, "'format_schema'"),
        ({"format_avro_schema_registry_url": "http://127.0.0.1:1"}, 500, 164, "'format_avro_schema_registry_url'"),
        ({"additional_table_filters": "{}"}, 500, 164, "'additional_table_filters'"),
        ({"profile": "default"}, 404, 115, "'profile'"),
        ({"max_result_rows": "10000001"}, 400, 36, "max_result_rows must be 1 to 10000000"),
        ({"max_memory_usage": "0"}, 400, 36, "max_memory_usage must be 1 to"),
        ({"timeout_overflow_mode": "any"}, 400, 36, "must be throw or break"),
        ({"session_timezone": "Mars/Olympus"}, 400, 36, "Mars/Olympus"),
        ({"role": "admin"}, 404, 511, "no role 'admin'"),
        ({"query_id": "a b"}, 400, 36, "query_id must be"),
        ({"compress": "yes"}, 400, 36, "compress must be 0 or 1"),
    ],
    ids=str,
)
def test_every_other_setting_is_refused_by_its_name(running, http, params, status, code, words):
    reply = http(running.reader, "SELECT 'ran'", **params)
    assert (reply.status, reply.code) == (status, code), reply.text
    assert words in reply.text


@pytest.mark.parametrize(
    "text",
    ["DESCRIBE TABLE (SELECT s, count() AS n FROM d GROUP BY s)", "DESC (SELECT s, count() AS n FROM d GROUP BY s)"],
)
def test_a_query_can_be_described(running, http, text):
    assert http(running.reader, text).text == "s\tString\t\t\t\t\t\nn\tUInt64\t\t\t\t\t\n"


def test_clients_that_went_away_keep_no_place(running, http):
    gone = [opened(running.reader, request(running.reader, FOREVER, max_execution_time="60")) for _ in range(PLACES)]
    time.sleep(0.5)
    for connection in gone:
        connection.close()
    began = time.monotonic()
    assert http(running.reader, "SELECT 1").text == "1\n"
    assert time.monotonic() - began < 5.0


def test_half_requests_and_answers_that_nobody_reads_keep_no_place(running, http):
    whole = request(running.reader, "SELECT repeat('x', 1000) FROM numbers(50000)")
    with ExitStack() as idle:
        for raw in (whole[:-5], whole) * (PLACES + 1):
            idle.enter_context(opened(running.reader, raw))
        time.sleep(1.0)
        began = time.monotonic()
        assert http(running.reader, "SELECT 1").text == "1\n"
        assert time.monotonic() - began < 10.0


@pytest.mark.parametrize(("how", "status"), [("SYNC", "finished"), ("ASYNC", "waiting")])
def test_a_client_cancels_its_query_while_all_places_are_taken(running, http, how, status):
    replies = {}

    def ask(query_id):
        replies[query_id] = http(running.reader, FOREVER, query_id=query_id, max_execution_time="60")

    threads = [threading.Thread(target=ask, args=(f"{how} {n}".replace(" ", "-"),)) for n in range(PLACES)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    for n in range(PLACES):
        said = http(running.reader, f"KILL QUERY WHERE query_id = '{how}-{n}' {how} FORMAT CSV")
        assert said.text == f'"{status}","{how}-{n}","reader","{FOREVER}"\n'
    for thread in threads:
        thread.join(5.0)
    assert [(reply.status, reply.code) for reply in replies.values()] == [(500, 394)] * PLACES
    assert http(running.reader, f"KILL QUERY WHERE query_id = '{how}-0'").text == ""


def test_nobody_cancels_what_is_not_a_readers(running, http):
    done = []
    slow = "SELECT count() FROM numbers(2000000000) WHERE sipHash64(number) = 1"
    writer = threading.Thread(
        target=lambda: done.append(http(running.writer, slow, query_id="w", max_execution_time="2"))
    )
    writer.start()
    time.sleep(0.3)
    for text in ("KILL QUERY WHERE query_id = 'w' SYNC", "KILL QUERY WHERE query_id = '' SYNC"):
        assert http(running.reader, text).text == ""
    for text in (
        "KILL QUERY WHERE 1 SYNC",
        "KILL QUERY WHERE query_id = 'w' OR 1",
        "KILL QUERY WHERE user = 'default'",
    ):
        assert http(running.reader, text).code == 164
    writer.join(10.0)
    assert done[0].code in (0, 159)  # ended by itself or by its own limit, not cancelled


@pytest.mark.parametrize("path", ["/", "/ping", "/replicas_status"])
def test_head_and_get_say_that_the_engine_is_there(running, http, path):
    assert http(running.reader, path=path, method="GET", auth=False).text == "Ok.\n"
    head = http(running.reader, path=path, method="HEAD", auth=False)
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "4", b"")


def test_head_of_a_query_tells_its_size_and_sends_nothing(running, http):
    head = http(running.reader, method="HEAD", query="SELECT 1 FORMAT CSV")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "2", b"")
    assert head.headers["Content-Type"] == "text/csv; charset=UTF-8"
    assert http(running.reader, method="HEAD", query="DROP TABLE d").code == 164


def part(address, http, query, wanted, method="GET", **options):
    return http(address, method=method, query=query, headers={"Range": f"bytes={wanted}"} if wanted else {}, **options)


def test_an_address_is_read_in_parts_of_one_answer(running, http):
    query = "SELECT rand64() AS x, number FROM numbers(1000) FORMAT CSV"  # another answer whenever it runs
    size = int(part(running.reader, http, query, "", method="HEAD").headers["Content-Length"])
    found = [part(running.reader, http, query, wanted) for wanted in ("0-3", "4-99", "-5", "100-", f"{size}-")]
    assert [each.status for each in found] == [206, 206, 206, 206, 416]
    assert found[1].headers["Content-Range"] == f"bytes 4-99/{size}"
    whole = found[0].body + found[1].body + found[3].body
    assert (len(whole), whole.count(b"\n"), whole[-5:]) == (size, 1000, found[2].body)
    again = int(part(running.reader, http, query, "", method="HEAD").headers["Content-Length"])  # a new reading
    assert part(running.reader, http, query, f"0-{again}").body != whole


def test_the_end_may_be_read_first_and_a_part_of_no_answer_is_refused(running, http):
    query = "SELECT number, rand64() FROM numbers(50) FORMAT CSV"
    end = part(running.reader, http, query, "-9")
    assert (end.status, part(running.reader, http, query, "0-").body[-9:]) == (206, end.body)
    lost = part(running.reader, http, f"{query} ", "7-9")
    assert (lost.status, "fix: ask for all of it, without Range" in lost.text) == (412, True)
    assert part(running.reader, http, query, "0-1,3-4").status == 200  # several ranges: all of it


def test_no_part_leads_past_the_gate(running, http):
    assert part(running.reader, http, "DROP TABLE d", "0-9").code == 164
    assert part(running.reader, http, "SELECT file('/etc/passwd')", "0-9").code == 164
    secret = "SELECT 'of the writer' FORMAT CSV"
    assert part(running.writer, http, secret, "0-4").status == 200
    assert part(running.reader, http, secret, "3-9").status == 412
    assert part(running.reader, http, secret, "0-4", auth=False).code == 516


def test_the_settings_that_a_reader_may_give_are_not_said_to_be_readonly(running, http):
    asked = "SELECT name, value, readonly FROM system.settings LIMIT 10000 FORMAT JSONCompactEachRow"
    found = {
        name: bool(readonly) for name, _, readonly in map(json.loads, http(running.reader, asked).text.split("\n")[:-1])
    }
    assert len(found) > 1_000
    assert (
        not found["mutations_sync"] | found["lightweight_deletes_sync"] | found["join_use_nulls"] | found["max_threads"]
    )
    assert found["readonly"] & found["allow_ddl"] & found["max_memory_usage_for_user"] & found["output_format_schema"]
    for name in [name for name, readonly in found.items() if not readonly and name.endswith("_sync")]:
        assert http(running.reader, "SELECT 1", **{name: "1"}).text == "1\n"
    assert http(running.reader, "EXISTS DATABASE `default`").text == "1\n"
