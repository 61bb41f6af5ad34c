"""The read-only gate under statements that nobody meant: nothing is written, nothing outside is read, nothing ends."""

from pathlib import Path

from tests.fuzz import budgets, corpus, fuzz, mutated

WORDS = [
    b" INTO OUTFILE '/tmp/out.csv' ", b"; DROP TABLE d", b"; ", b" SETTINGS readonly = 0 ", b" FORMAT Null", b" FORMAT ", b" UNION ALL ",
    b"INSERT INTO d SELECT ", b"INSERT INTO FUNCTION ", b"SET readonly = 0", b"SELECT ", b"WITH ", b" FROM ", b"(", b")", b"'", b'"', b"`",
    b"$$", b"--", b"/*", b"*/", b"\\", b"\n", b"\xc2\xa0", b"{run:String}", b"{x:Identifier}", b"EXPLAIN ", b"DESCRIBE TABLE ", b"SYSTEM ",
    b"KILL QUERY WHERE 1 ", b"ATTACH ", b"TRUNCATE ", b"file('CANARY', 'LineAsString')", b"file('CANARY')", b"url('http://127.0.0.1:1/')",
    b"remote('127.0.0.1', system.one)", b"executable('id', 'TSV', 'a String')", b"view(", b"merge('', '.*')", b"input('a Int8')", b"AS ",
    b"ALTER TABLE d DELETE WHERE 1", b"CREATE TABLE w (a Int8) ENGINE = Memory", b"BACKUP TABLE d TO File('b')", b"0x", b"1e999",
]  # fmt: skip
STATE = "SELECT (SELECT (count(), sum(cityHash64(*))) FROM d) AS rows, (SELECT groupArray(name) FROM (SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name)) AS tables"
SECRET = "the canary sings"


@budgets(60, 8_000)
def test_no_statement_writes_or_reads_outside(running, http, store, tmp_path, examples):
    canary = tmp_path / "canary.txt"
    canary.write_text(SECRET)
    named = [each.replace(b"CANARY", str(canary).encode()) for each in WORDS]
    seeds = [each.replace(b"CANARY", str(canary).encode()) for each in corpus("queries.txt")]
    before, out = store.rows(STATE), Path("/tmp/out.csv")
    listed = {*Path("/").iterdir()}

    def check(query):
        reply = http(running.reader, body=query, max_execution_time="2", max_result_rows="1000")
        assert reply.status == 200 or reply.code, (query, reply)
        assert SECRET.encode() not in reply.body
        assert store.rows(STATE) == before

    fuzz(check, mutated(seeds, named), examples)
    assert not out.exists()
    assert {*Path("/").iterdir()} == listed
    assert sorted(each.name for each in tmp_path.iterdir()) == ["canary.txt"]
