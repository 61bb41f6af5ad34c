"""`violet sql` and `violet serve` on a real engine."""

import json
import os
import re
import signal
import time

import pytest

from journal.directory import claim
from journal.engine.address import Address
from reactor.cli import sql

CALL = "import sys; from reactor.cli.main import run; sys.exit(run(sys.argv[1:]))"


@pytest.fixture
def violet(python, running):
    def call(*arguments, data=None, code=0):
        child = python(CALL, *arguments, "--data", data or running.data)
        out, err = child.communicate(timeout=60)
        assert child.returncode == code, err
        return out, err

    return call


def test_json_is_a_list_of_row_objects_with_exact_values(violet):
    query = (
        "SELECT toUInt64(18446744073709551615) AS big, 0/0 AS nan, -1/0 AS inf, [1, 2] AS list, "
        "NULL AS none, "
        "toDateTime64(1746372780.123, 3) AS at, 0.1 AS x, {t:String} AS t, {run:String} AS run"
    )
    out, _ = violet("sql", query, "--json", "--param", "t=a=b\\\n")
    assert json.loads(out) == [
        {
            "big": 2**64 - 1,
            "nan": None,
            "inf": None,
            "list": [1, 2],
            "none": None,
            "at": "2025-05-04T15:33:00.123Z",
        }
        | {"x": 0.1, "t": "a=b\\\n", "run": "new"}
    ]
    assert json.loads(violet("sql", "SELECT 1 AS a WHERE 0", "--format", "json")[0]) == []


def test_text_of_a_record_is_no_formula_of_a_sheet_and_speaks_to_no_terminal(violet):
    query = "SELECT '=1+1' AS a, concat(char(27), '[2J', char(10)) AS b, -1 AS c, '-1\"' AS d, CAST(NULL, 'Nullable(Int8)') AS e"
    said = violet("sql", query, "--format", "csv")[0]
    assert said == '"a","b","c","d","e"\n"\'=1+1","\\x1b[2J\n",-1,"\'-1""",\\N\n'
    for form in ("table", "json"):
        assert "\x1b" not in violet("sql", query, "--format", form)[0]


def test_table_and_csv_show_the_same_rows(violet):
    table = violet("sql", "SELECT n, s, if(n = 1, NULL, x) AS y FROM d ORDER BY n")[0]
    assert [line.split() for line in table.splitlines() if line.strip()][2:] == [
        ["1", "a", "NULL"],
        ["2", "b", "1.5"],
        ["3", "c", "2.5"],
        ["3", "rows"],
    ]
    assert violet("sql", "SELECT n, s FROM d WHERE n < 3 ORDER BY n", "--format", "csv")[0] == '"n","s"\n1,"a"\n2,"b"\n'
    assert violet("sql", "SELECT 1 FORMAT TSKV", "--json")[0] == "1=1\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("SELECT nope FROM d", "--verbose"), "Unknown expression identifier `nope`. (UNKNOWN_IDENTIFIER)"),
        (("DROP TABLE d",), "read-only gate"),
        (("SELECT * FROM numbers(11)", "--max-rows", "10", "--verbose"), "396"),
        (("SELECT sleepEachRow(1) FROM numbers(3)", "--timeout", "1", "--verbose"), "159"),
        (("SELECT 1 AS a, 2 AS b", "--param", "x"), "NAME=VALUE"),
        (("SELECT n, n FROM d", "--json"), "named 'n'"),
    ],
)
def test_a_refused_query_exits_3_with_the_exact_reason(violet, arguments, words):
    out, err = violet("sql", *arguments, code=3)
    assert out == ""
    assert words in err
    assert "Traceback" not in err


def test_an_error_is_one_line_of_ours_and_theirs_stands_above_it_where_it_is_asked_for(violet):
    for query, words in {
        "SELECT nosuch FROM d": "no column nosuch; fix: `DESCRIBE decisions` lists that view's columns",
        "SELECT 1 FROM nosuch": "no table nosuch; fix: `SHOW TABLES` lists what there is",
        "SELECT lenght('a')": "no function lenght; fix: did you mean 'length'?",
        "SELEC 1": "the query is no SQL at letter 7, '1'; fix: mend it there; --verbose says what may stand there",
        "SELECT {x:String}": "the query asks for a value of x; fix: --param x=VALUE",
        "SELECT * FROM numbers(200000)": "the answer has more rows than --max-rows; fix: raise --max-rows, or add a LIMIT",
        "SELECT throwIf(1)": "fix: mend the query; --verbose has all of ClickHouse's words (395 FUNCTION_THROW_IF_VALUE_IS_NON_ZERO)",
    }.items():
        _, err = violet("sql", query, code=3)
        (line,) = err.splitlines()
        assert re.sub(r" \([A-Z_]+\)$", "", line).endswith(words)
        assert re.search(r"[A-Z_]{8,}\)$", line)  # ClickHouse's name of the error
        assert "Code: " not in line
        theirs, again = violet("sql", query, "--verbose", code=3)[1].splitlines()
        assert again == line
        assert "Code: " in theirs
        assert "SETTINGS max" not in theirs


def test_a_missing_journal_is_refused_and_not_created(violet, tmp_path):
    for arguments in (("sql", "SELECT 1"), ("serve",)):
        assert "holds no journal" in violet(*arguments, data=tmp_path / "no", code=3)[1]
    assert list(tmp_path.iterdir()) == []


def test_a_query_on_a_running_engine_answers_soon_and_loads_no_numba(python, running, violet):
    began = time.monotonic()
    violet("sql", "SELECT 1")
    assert time.monotonic() - began < 5.0  # 0.6 s on an idle machine
    heavy = "('numba', 'confluent_kafka', 'chdb')"
    code = f"import sys; import reactor.cli.sql; print([m for m in {heavy} if m in sys.modules])"
    assert python(code).communicate()[0] == "[]\n"


def test_serve_starts_serves_and_ends_with_its_engine(python, tmp_path, http, gone):
    claim(tmp_path)
    (tmp_path / "engine").mkdir()
    child = python(CALL, "serve", "--json", "--data", tmp_path)
    told = json.loads(child.stdout.readline())
    address = Address(told["url"], told["user"], told["token"])
    assert http(address, "SELECT 1").text == "1\n"
    assert http(address, "CREATE TABLE e (a Int32) ENGINE = Memory").code == 164
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=15)
    assert child.returncode == 0
    assert gone(told["pid"], 0.1)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_question_whose_engine_goes_meanwhile_is_asked_of_another(python, tmp_path, gone, how, monkeypatch, capfd):
    claim(tmp_path)
    (tmp_path / "engine").mkdir()
    child = python(CALL, "serve", "--json", "--data", tmp_path)
    pid = json.loads(child.stdout.readline())["pid"]

    def end_it(answering, text):
        child.kill()
        child.communicate(timeout=15)
        os.kill(pid, how)
        assert gone(pid, 15.0)
        return []

    monkeypatch.setattr(sql.question, "warnings", end_it)
    sql.command.main(["SELECT 1 AS a", "--json", "--data", str(tmp_path)], standalone_mode=False)
    assert capfd.readouterr().out == '[{"a":1}]\n'
