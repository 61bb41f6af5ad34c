"""No reader changes anything or sees beyond the journal, whatever the text."""

import gzip
import time

import pytest

from journal.engine.compression import frames
from journal.engine.reader import FORBIDDEN, QueryError, admit

CHANGES = [
    "DROP TABLE d",
    "SELECT 1; DROP TABLE d",
    "EXPLAIN AST SELECT 1; DROP TABLE d",
    "SELECT 1) SETTINGS readonly=0; DROP TABLE d; SELECT * FROM (SELECT 1",
    "SELECT 1) SETTINGS readonly = 0; DROP TABLE d; -- ",
    "SELECT 1) /*",
    "SELECT 1 /* ) */ ) ; DROP TABLE d",
    "SELECT 1 # )\n); DROP TABLE d",
    "SELECT '\\'); DROP TABLE d; --",
    "SELECT $$a$$); DROP TABLE d; SELECT ($$b$$",
    "SELECT `a); DROP TABLE d; --`",
    "INSERT INTO d VALUES (9, 'z', 1)",
    "INSERT INTO d FORMAT TSV\n9\tz\t1\n",
    "INSERT INTO FUNCTION file('{out}', 'TSV', 'a Int32') SELECT 1",
    "WITH x AS (SELECT 9, 'z', 1.0) INSERT INTO d SELECT * FROM x",
    "CREATE TABLE e (a Int32) ENGINE = Memory",
    "CREATE TEMPORARY TABLE e (a Int32)",
    "CREATE VIEW e AS SELECT 1",
    "CREATE FUNCTION e AS (a) -> a",
    "ALTER TABLE d DELETE WHERE 1",
    "ALTER TABLE d DROP COLUMN x",
    "DELETE FROM d WHERE 1",
    "UPDATE d SET s = '' WHERE 1",
    "TRUNCATE TABLE d",
    "OPTIMIZE TABLE d FINAL",
    "RENAME TABLE d TO e",
    "EXCHANGE TABLES d AND v",
    "DETACH TABLE d",
    "ATTACH TABLE d",
    "UNDROP TABLE d",
    "BACKUP TABLE d TO File('{out}')",
    "RESTORE TABLE d FROM File('{out}')",
    "GRANT ALL ON *.* TO default",
    "CREATE USER u",
    "SET readonly = 0",
    "USE system",
    "SYSTEM SHUTDOWN",
    "SYSTEM KILL",
    "SYSTEM STOP MERGES",
    "SYSTEM FLUSH LOGS",
    "SYSTEM RELOAD CONFIG",
    "KILL QUERY WHERE 1 SYNC",
    "KILL MUTATION WHERE 1",
    "WATCH d",
    "CHECK TABLE d",
    "EXECUTE AS default SELECT 1",
    "SELECT 1 PARALLEL WITH DROP TABLE d",
    "DROP TABLE d PARALLEL WITH SELECT 1",
    "EXPLAIN SELECT 1 PARALLEL WITH DROP TABLE d",
    "EXPLAIN AST DROP TABLE d",
    "EXPLAIN SYNTAX INSERT INTO d VALUES (9, 'z', 1)",
    "SELECT * FROM (EXPLAIN AST DROP TABLE d)",
    "SELECT 1 INTO OUTFILE '{out}'",
    "SELECT 1 INTO OUTFILE '{out}' FORMAT CSV",
    "SELECT 1 UNION ALL SELECT 2 INTO OUTFILE '{out}'",
    "EXPLAIN SELECT 1 INTO OUTFILE '{out}'",
    "SHOW TABLES INTO OUTFILE '{out}'",
    "SHOW DATABASES INTO OUTFILE '{out}' FORMAT CSV",
    "SHOW CREATE TABLE d INTO OUTFILE '{out}'",
    "DESCRIBE TABLE d INTO OUTFILE '{out}'",
    "EXISTS TABLE d INTO OUTFILE '{out}'",
    "BEGIN TRANSACTION",
]
REACHES = [
    "SELECT file('{secret}')",
    "SELECT `file`('{secret}')",
    "SELECT arrayMap(file, ['{secret}'])",
    "SELECT arrayMap(p -> file(p), ['{secret}'])",
    "SELECT * APPLY(file) FROM (SELECT '{secret}')",
    "SELECT 1 AS `'`, file('{secret}') AS `'`",
    "SELECT 1 AS `\\`'`, file('{secret}') AS `'`",
    "SELECT '\\\\', file('{secret}'), ''",
    "SELECT 'a''', file('{secret}')",
    "SELECT $$'$$, file('{secret}'), $$'$$",
    "SELECT \"'\", file('{secret}') FROM (SELECT 1 AS \"'\")",
    "SELECT /* ' */ file('{secret}') /* ' */",
    "SELECT fi/**/le('{secret}')",
    "WITH file('{secret}') AS f SELECT f",
    "EXPLAIN SELECT file('{secret}')",
    "EXPLAIN QUERY TREE SELECT (SELECT file('{secret}'))",
    "SELECT * FROM file('{secret}', 'LineAsString')",
    "SELECT * FROM (SELECT * FROM file('{secret}', 'LineAsString'))",
    "SELECT (SELECT count() FROM file('{secret}', 'LineAsString'))",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM `{secret}`",
    "EXPLAIN SELECT * FROM `{secret}`",
    "EXISTS TABLE `{secret}`",
    "DESCRIBE TABLE `{secret}`",
    "DESCRIBE file('{secret}')",
    "SHOW CREATE TABLE `{secret}`",
    "SELECT * FROM filesystem('/etc')",
    "SELECT * FROM url('http://127.0.0.1:1/x', 'LineAsString')",
    "SELECT * FROM s3('http://b.127.0.0.1:1/b/x', 'LineAsString')",
    "SELECT * FROM remote('127.0.0.1:1', system.one)",
    "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SELECT * FROM sqlite('{secret}', 't')",
    "SELECT * FROM executable('id', 'TSV', 'a String')",
    "SELECT * FROM python(tokens)",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT dictGet('d', 'x', 1)",
    "SELECT * FROM dictionary('d')",
    "SELECT aiGenerate('c', 'p')",
    "SELECT logTrace('x')",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_result_rows = 0",
    "SELECT * FROM (SELECT 1 SETTINGS readonly = 2)",
    "SELECT * FROM d SETTINGS max_execution_time = 0",
    "EXPLAIN SELECT 1 SETTINGS readonly = 0",
    "SELECT * FROM numbers(100001)",
    "SELECT length(groupArray(repeat('x', 1000000))) FROM numbers(10000)",
    "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
    "SELECT " + "1+" * 100_000 + "1",
    "",
    " ;",
    "\0",
    "SELECT '\0'",
]
ALLOWED = {
    "SELECT n FROM d ORDER BY n DESC": "3\n2\n1\n",
    "SELECT n FROM d ORDER BY n DESC;": "3\n2\n1\n",
    "(SELECT 1) UNION ALL (SELECT 1)": "1\n1\n",
    "WITH 1 AS one SELECT one": "1\n",
    "FROM d SELECT count()": "3\n",
    "SELECT n, n, s FROM d WHERE n = 1": "1\t1\ta\n",
    "SELECT 1 -- )": "1\n",
    "SELECT 1 /* ) */": "1\n",
    "SELECT 1 # )": "1\n",
    "SELECT ') -- /*'": ") -- /*\n",
    "SELECT $$) SETTINGS readonly=0; --$$": ") SETTINGS readonly=0; --\n",
    "SELECT 'a\tb\\n', 'file(x)'": "a\\tb\\n\tfile(x)\n",
    "SELECT 'it''s' AS `a``b`": "it\\'s\n",
    "SELECT getSetting('readonly')": "1\n",
    "SELECT count() FROM merge('default', '^d$')": "3\n",
    "SELECT count() > 5 FROM system.tables": "1\n",
    "SELECT name FROM system.detached_parts": "",
    "SELECT toString({run:String})": "new\n",
    "SHOW TABLES": "d\nv\nviolet_runs\n",
    "SHOW TABLES FORMAT JSONEachRow": '{"name":"d"}\n{"name":"v"}\n{"name":"violet_runs"}\n',
    "SHOW TABLES LIKE 'v%'": "v\nviolet_runs\n",
    "DESCRIBE v": "n\tInt64\t\t\t\t\t\ns\tString\t\t\t\t\t\n",
    "DESC TABLE default.v FORMAT CSV": '"n","Int64","","","","",""\n"s","String","","","","",""\n',
    "EXISTS TABLE d": "1\n",
    "EXISTS d": "1\n",
    "EXISTS nothing": "0\n",
    "EXPLAIN SYNTAX SELECT 1": None,
    "EXPLAIN SELECT n FROM d WHERE n > 1 ORDER BY n": None,
    "EXPLAIN PLAN actions = 1, description = 1 SELECT 1": None,
    "EXPLAIN PIPELINE (SELECT 1)": None,
    "SHOW CREATE TABLE d": None,
    "SHOW CREATE VIEW v FORMAT TabSeparatedRaw": None,
    "SHOW DATABASES": None,
    "SELECT 1 FORMAT JSONCompact": None,
    "select n from d order by n limit 1 \n FORMAT Native": None,
}


@pytest.fixture(scope="module")
def state(store):
    """What a query could change in the engine."""

    def look():
        return store.rows(
            "SELECT (SELECT groupArray((name, uuid)) FROM system.tables WHERE database = 'default') AS t, "
            "(SELECT (count(), sum(cityHash64(*))) FROM d) AS rows, (SELECT count() FROM system.functions)"
        )

    return look, look()


@pytest.fixture
def unchanged(running, state, tmp_path):
    yield
    look, before = state
    assert running.engine.alive()
    assert look() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("attack", [*CHANGES, *REACHES])
@pytest.mark.usefixtures("unchanged")
def test_no_text_changes_anything_or_sees_beyond_the_journal(running, http, tmp_path, attack):
    secret = running.data / "writer.json"
    text = attack.replace("{out}", str(tmp_path / "out")).replace("{secret}", str(secret))
    reply = http(running.reader, text)
    assert reply.status >= 400, reply.text
    assert reply.code
    assert running.writer.token not in reply.text


@pytest.mark.parametrize(("query", "answer"), ALLOWED.items())
def test_what_only_reads_runs_and_gives_what_it_says(running, http, query, answer):
    reply = http(running.reader, query)
    assert reply.status == 200, reply.text
    assert answer is None or reply.text == answer


def test_a_refusal_names_the_rule_and_readonly(running, http):
    reply = http(running.reader, "DROP TABLE d")
    assert reply.code == 164
    assert "the reader may run SELECT" in reply.text
    assert "DROP TABLE d" in reply.text


@pytest.mark.parametrize(
    "params",
    [
        {"query": "DROP TABLE d"},
        {"query": "SELECT 1;", "database": "default; DROP TABLE d"},
        {"query": "SELECT 1", "database": "nothing"},
        {"query": "SELECT 1", "default_format": "CSV INTO OUTFILE '/tmp/x'"},
        {"query": "SELECT 1", "default_format": "DataFrame"},
        {"query": "SELECT * FROM numbers(100001)", "readonly": "0", "max_rows_to_read": "0"},
        {"query": "SELECT * FROM {t:Identifier}", "param_t": "d) SETTINGS readonly=0; DROP TABLE d; --"},
        {"query": "SELECT {x:UInt8}", "param_x": "1); DROP TABLE d"},
        {"query": "SELECT {x:UInt8}"},
        {"query": "SELECT 1", "max_result_rows": "0"},
        {"query": "SELECT 1", "max_result_rows": "-1"},
        {"query": "SELECT 1", "max_execution_time": "1e9"},
        {"query": "SELECT 1", "max_execution_time": "1, readonly = 0"},
    ],
)
@pytest.mark.usefixtures("unchanged")
def test_no_parameter_opens_the_gate(running, http, params):
    assert http(running.reader, method="GET", **params).status >= 400


def multipart(text):
    return b'--b\r\nContent-Disposition: form-data; name="query"\r\n\r\n' + text + b"\r\n--b--\r\n"


DOORS = {
    "a parameter": lambda text: {"method": "GET", "query": text.decode()},
    "HEAD": lambda text: {"method": "HEAD", "query": text.decode()},
    "half a parameter": lambda text: {"query": text.decode()[:6], "body": text[6:]},
    "gzip": lambda text: {"body": gzip.compress(text), "headers": {"Content-Encoding": "gzip"}},
    "frames": lambda text: {"body": b"".join(frames(text)), "decompress": "1"},
    "frames in gzip": lambda text: {"body": gzip.compress(b"".join(frames(text))), "decompress": "1", "headers": {"Content-Encoding": "gzip"}},
    "a form": lambda text: {"body": multipart(text), "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
    "DESCRIBE": lambda text: {"body": b"DESCRIBE TABLE (" + text + b")"},
    "DESCRIBE that ends early": lambda text: {"body": b"DESCRIBE TABLE (SELECT 1) UNION ALL (" + text + b")"},
    "compressed answers": lambda text: {"body": text, "compress": "1", "headers": {"Accept-Encoding": "gzip"}},
    "headers": lambda text: {"body": text, "headers": {"X-ClickHouse-Database": "system", "X-ClickHouse-Format": "JSON"}},
    "a session": lambda text: {"body": text, "session_id": "s", "session_timeout": "60"},
    "all that may be set": lambda text: {"body": text, "limit": "1", "log_comment": "'", "max_threads": "64"},
    "a native hello": lambda text: {"body": text, "client_protocol_version": "54460"},
}  # fmt: skip


THROUGH = (
    "DROP TABLE d",
    "SELECT 1; DROP TABLE d",
    "INSERT INTO d VALUES (9, 'z', 1)",
    "INSERT INTO d FORMAT TSV\n9\tz\t1\n",
    "SELECT file('{secret}')",
    "SELECT * FROM file('{secret}', 'LineAsString')",
    "SELECT * FROM url('http://127.0.0.1:1/x', 'LineAsString')",
    "SELECT 1 INTO OUTFILE '{out}'",
    "SELECT 1) INTO OUTFILE '{out}' FORMAT CSV --",
    "SELECT 1 SETTINGS readonly = 0",
    "KILL QUERY WHERE 1 SYNC",
    "SET readonly = 0",
)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.usefixtures("unchanged")
def test_no_door_leads_around_the_gate(running, http, tmp_path, door):
    for attack in THROUGH:
        text = attack.replace("{out}", str(tmp_path / "out")).replace("{secret}", str(running.data / "writer.json"))
        reply = http(running.reader, **DOORS[door](text.encode()))
        assert reply.status >= 400, (attack, reply.body)
        assert reply.code
        assert running.writer.token.encode() not in reply.body


def test_a_megabyte_of_nothing_costs_the_others_nothing(running, http):
    began = time.monotonic()
    for filler in (" ", " FORMAT ", "'", "(", "`", ";", " FORMAT a ; "):
        text = "SELECT 1" + filler * (1_000_000 // len(filler))
        http(running.reader, text)
    assert time.monotonic() - began < 20.0


@pytest.mark.parametrize(
    "part",
    [
        b'Content-Disposition: form-data; name="ids"; filename="ids.tsv"\r\n\r\n1\n2\n',
        b'Content-Disposition: form-data; name="ids_structure"\r\n\r\nid UInt64\r\n',
        b'Content-Disposition: form-data; name="readonly"\r\n\r\n0',
    ],
)
def test_a_form_brings_neither_tables_nor_settings_around_the_gate(running, http, part):
    body = b"--b\r\n" + part + b"\r\n" + multipart(b"SELECT 1")
    reply = http(running.reader, body=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert reply.code in (115, 164), reply.text


def test_a_reader_may_move_the_caps_and_nothing_is_cut_short(running, http):
    query = "SELECT * FROM numbers(100001)"
    assert http(running.reader, query, max_result_rows="100001").text.count("\n") == 100_001
    assert http(running.reader, "SELECT * FROM numbers(11)", max_result_rows="10").code == 396
    assert (
        http(
            running.reader,
            "SELECT count() FROM numbers(1000000000000) WHERE rand() = 1",
            max_execution_time="1",
        ).code
        == 159
    )


def test_a_query_split_over_parameter_and_body_is_one_text_for_the_gate(running, http):
    assert http(running.reader, "; DROP TABLE d", query="SELECT 1").code == 62
    assert http(running.reader, " + 1", query="SELECT 1").text == "2\n"


def test_the_engine_serves_nothing_of_its_folder_by_name(running, http):
    for name in ("/sql.json", "/writer.json", "/../writer.json", "/play"):
        assert http(running.reader, path=name, method="GET").status == 404


def plain(text):
    return text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "DROP TABLE d",
        "SHOW TABLES INTO OUTFILE 'x'",
        "SHOW CREATE TABLE INTO",
        "EXPLAIN SELECT file('x')",
        "SELECT 1 AS `'`, file('x') AS `'`",
    ],
)
def test_the_gate_alone_refuses_what_the_engine_would_run(text):
    with pytest.raises(QueryError, match="read-only gate"):
        admit(text, plain, {})


def test_only_the_bracketed_canonical_text_runs():
    admitted = admit("select 1 format JSON", lambda text: "SELECT 1 /* canonical */", {"readonly": "1"})
    assert admitted.sql == "SELECT * FROM (\nSELECT 1 /* canonical */\n) SETTINGS readonly = '1'"
    assert admitted.format == "JSON"


def test_every_function_that_takes_a_path_or_a_model_is_forbidden(store):
    named = "'file', 'showCertificate', 'logTrace', 'addressToLine'"
    found = store.rows(f"SELECT name FROM system.functions WHERE name ILIKE 'ai%' OR name IN ({named})")
    assert {row["name"].lower() for row in found} <= FORBIDDEN
