"""The journal over https: the real engine behind a TLS front, and nothing of the login in clear."""

import base64
import json
import socket
import ssl
import threading

import pytest

from journal.engine.address import WRITER, read
from journal.refusal import Refusal
from tests.integration import records, soaking
from tests.integration.soaking import violet
from tests.secured import Authority, Recorder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def front(journal, authority):
    """TLS on loopback before the engine, and a recorder before that: its port, and what passed in front of it."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.sign("clickhouse", names="IP:127.0.0.1"))
    inner = Recorder(read(journal.data, WRITER).port, tls)
    outer = Recorder(inner.port)
    yield outer
    outer.close()
    inner.close()


@pytest.fixture
def config(journal, front, authority, tmp_path, monkeypatch):
    """config(KEY=VALUE, ...): a soak's file whose [journal] is the front."""
    monkeypatch.setenv("VIOLET_JOURNAL_PASSWORD", read(journal.data, WRITER).token)

    def make(**changed):
        table = {"url": f"https://127.0.0.1:{front.port}", "user": WRITER, "ca": authority.certificate} | changed
        lines = [f'{key} = "{value}"' for key, value in table.items() if value is not None]
        path = tmp_path / "soak.toml"
        path.write_text(f'[reactor]\ndata = "{tmp_path / "data"}"\n[journal]\n' + "\n".join(lines))
        return path

    return make


def test_a_soak_and_its_questions(journal, front, config, tmp_path):
    archive = records.write(tmp_path / "scans.jsonl", records.mixed(300, long=False))
    soaked = soaking.soak(tmp_path / "data", config=config(), scans=archive, name="over-https")
    assert soaked.summary["lost"] == 0
    assert soaked.counts == soaking.soak(tmp_path / "alone", scans=archive, name="over-https").counts
    assert not (tmp_path / "data" / "engine").exists()
    counted = "SELECT count() AS n FROM scans WHERE run_id = {run:String}"
    asked = violet("sql", counted, "--config", config(), "--run", soaked.run_id, "--json").json
    assert asked == [{"n": soaked.summary["decisions"] + soaked.summary["evaluations"]}]
    for command in ("gate", "status", "verify", "rejects"):
        said = violet(
            command, *([soaked.run_id] if command in ("gate", "verify") else []), "--config", config(), "--json"
        )
        assert said.code in (0, 1, 2), said.err
    login = base64.b64encode(f"{WRITER}:{read(journal.data, WRITER).token}".encode())
    assert len(front.seen) > 10_000
    assert set(front.begins) == {b"\x16"}  # each connection begins with a TLS handshake
    assert login not in front.seen
    assert read(journal.data, WRITER).token not in soaked.err + json.dumps(soaked.summary)


def test_sql_lets_only_what_reads_pass_to_a_server(config):
    for text in ("DROP TABLE violet_runs", "INSERT INTO violet_runs VALUES (1)", "SELECT 1 SETTINGS max_threads = 1"):
        said = violet("sql", text, "--config", config())
        assert (said.code, "read-only gate" in said.err or "is no SQL" in said.err) == (3, True), (text, said.err)
    said = violet("sql", "SELECT number FROM numbers(11)", "--max-rows", "10", "--config", config())
    assert (said.code, "max" in said.err.lower()) == (3, True)


@pytest.mark.parametrize("case", ["another CA", "another name", "no TLS there"])
def test_what_is_wrong_is_named(journal, front, authority, config, tmp_path, case):
    if case == "another CA":
        path, words = config(ca=Authority(tmp_path, "other").certificate), ["does not hold", "journal.ca"]
    elif case == "another name":
        path, words = config(url=f"https://localhost:{front.port}"), ["does not hold", "localhost"]
    else:
        path, words = config(url=f"https://127.0.0.1:{read(journal.data, WRITER).port}"), ["does not speak TLS", "http"]
    said = violet("status", "--config", path)
    assert (said.code, len(said.err.strip().splitlines())) == (3, 1), said.err
    assert all(word in said.err for word in words), said.err


def test_an_https_address_is_never_asked_in_clear(config):
    """A plain listener at the address gets the beginning of a handshake and no word more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        path = config(url=f"https://127.0.0.1:{listener.getsockname()[1]}")
        got = []

        def hear():
            client, _ = listener.accept()
            got.append(client.recv(4_096))
            client.close()
            listener.close()

        thread = threading.Thread(target=hear)
        thread.start()
        said = violet("sql", "SELECT 1", "--config", path)
        thread.join()
    assert said.code == 3
    assert got[0][:1] == b"\x16"
    assert b"uthorization" not in got[0]


def test_a_password_in_clear_is_refused_off_loopback(config):
    for url in ("http://clickhouse:8123", "http://10.0.0.5:8123"):
        said = violet("status", "--config", config(url=url, ca=None))
        assert (said.code, "in clear" in said.err, "allow_plaintext" in said.err) == (3, True, True)
    with pytest.raises(Refusal, match="must hold no login"):
        soaking.soak("never", config=config(url="https://u:hunter2@h:8443"))


def test_trades_of_blue_come_out_of_a_table_over_https(journal, front, authority, config, tmp_path):
    journal.store.command("CREATE TABLE IF NOT EXISTS trades_over_https (trade_id String, entry_ts_ms Int64, asset String) ENGINE = Memory")  # fmt: skip
    journal.store.command(f"INSERT INTO trades_over_https VALUES ('one', {records.START_MS}, 'BTCUSDT')")
    archive = records.write(tmp_path / "scans.jsonl", records.plain(30))
    soaking.soak(tmp_path / "blue", scans=archive, name="blue-https")
    address = read(journal.data, WRITER)
    where = ["--clickhouse", f"https://127.0.0.1:{front.port}", "--user", WRITER, "--ca", authority.certificate]
    said = violet("blue", "import", "--trades", "table:default.trades_over_https", *where, "--password", address.token,
                  "--data", tmp_path / "blue", "--any-clock", "--json")  # fmt: skip
    assert said.code == 0, said.err
    assert "in clear" not in said.err
