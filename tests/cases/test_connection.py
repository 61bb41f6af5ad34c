"""Connections that failed people: a scheme that was dropped, another journal than the config's, a cluster not spoken to."""

import json

import pytest

from journal.engine.address import Address, checked
from reactor.log.tansu import free_port
from tests.integration import records
from tests.integration.soaking import violet


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "path"),
    [
        ("https://ch.example.com", "https", "ch.example.com", 8443, ""),
        ("https://ch.example.com:9440/path/", "https", "ch.example.com", 9440, "/path"),
        ("http://ch.example.com", "http", "ch.example.com", 8123, ""),
        ("http://[::1]:8443", "http", "::1", 8443, ""),
    ],
)
def test_no_part_of_an_address_is_dropped(url, scheme, host, port, path):
    found = Address(checked(url), "u", "secret")
    assert (found.scheme, found.host, found.port, found.path) == (scheme, host, port, path)


@pytest.mark.parametrize(
    "url", ["ch:8123", "ftp://ch", "clickhouse://ch", "https://", "https://u:hunter2@ch", "http://ch?password=hunter2",
            "http://ch:0", "http://ch:99999", "ch"],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_shows_no_password(tmp_path, url):
    config = tmp_path / "soak.toml"
    config.write_text(f'[journal]\nurl = "{url}"\n')
    for command in (["status"], ["sql", "SELECT 1"], ["soak", "--data", tmp_path / "data"]):
        said = violet(*command, "--config", config)
        assert (said.code, said.err.count("\n"), "journal.url" in said.err) == (3, 1, True), said.err
        assert "hunter2" not in said.err


def test_sql_asks_the_server_of_the_config_and_no_other_journal(tmp_path, journal):
    """The directory holds a journal too: that one must not answer."""
    port = free_port()
    config = tmp_path / "soak.toml"
    config.write_text(f'[reactor]\ndata = "{journal.data}"\n[journal]\nurl = "http://127.0.0.1:{port}"\n')
    said = violet("sql", "SELECT 1", "--config", config)
    assert (said.code, said.out) == (3, "")
    assert f"http://127.0.0.1:{port}" in said.err


def test_the_library_s_own_names_are_led_to_ours(tmp_path):
    config = tmp_path / "soak.toml"
    config.write_text('[kafka]\n"security.protocol" = "SASL_PLAINTEXT"\n"sasl.password" = "hunter2"\n')
    said = violet("soak", "--config", config, "--topic", "t", "--data", tmp_path / "data")
    assert said.code == 3
    assert "kafka.security.protocol; did you mean 'security_protocol'?" in said.err
    assert "hunter2" not in said.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--clickhouse", "10.0.0.5:8123"], "clickhouse.url: must be http://HOST:PORT or https://HOST:PORT"),
        (["--clickhouse", "http://u:hunter2@10.0.0.5"], "clickhouse.url: must hold no login"),
        (["--clickhouse", "http://10.0.0.5:8123", "--password", "hunter2"], "in clear to 10.0.0.5; fix: https"),
        (["--clickhouse", "https://127.0.0.1:1", "--ca", "no-such.pem"], "no-such.pem cannot be read"),
    ],
)
def test_a_table_of_blue_comes_over_https_too(flags, words):
    said = violet("blue", "import", "--trades", "table:t", *flags)
    assert (said.code, words in said.err, "hunter2" in said.err) == (3, True, False), said.err


COMMANDS = {
    "publish": ["publish", "--scans", "scans.jsonl", "--topic", "t"],
    "tap": ["tap", "acb", "--topic", "t"],
    "lane run": ["lane", "run", "acb", "--topic", "t"],
    "lane promote": ["lane", "promote", "acb", "--topic", "t"],
    "blue import": ["blue", "import", "--trades", "topic:t"],
    "soak": ["soak", "--topic", "t"],
}


@pytest.mark.parametrize("case", COMMANDS)
def test_every_command_that_speaks_with_a_broker_takes_the_same_table(tmp_path, monkeypatch, case):
    monkeypatch.setattr("reactor.log.admin.PATIENCE_S", 0.1)
    monkeypatch.chdir(tmp_path)
    records.write(tmp_path / "scans.jsonl", records.plain(3))
    config = tmp_path / "soak.toml"
    login = 'security_protocol = "SASL_PLAINTEXT"\nsasl_mechanism = "PLAIN"\nsasl_username = "u"\n'
    config.write_text(f'[kafka]\nbootstrap_servers = "kafka:9092"\n{login}')
    monkeypatch.setenv("VIOLET_KAFKA_PASSWORD", "hunter2")
    said = violet(*COMMANDS[case], "--config", config)
    assert (said.code, "would send the login in clear to kafka" in said.err) == (3, True), said.err
    config.write_text(f'[kafka]\nbootstrap_servers = "127.0.0.1:{free_port()}"\n{login}')
    said = violet(*COMMANDS[case], "--config", config)
    assert (said.code, "cannot be reached" in said.err, "Traceback" in said.err) == (3, True, False), said.err
    assert "hunter2" not in said.err


def test_sequence_has_it_in_its_mapping(tmp_path, monkeypatch):
    monkeypatch.setattr("reactor.log.admin.PATIENCE_S", 0.1)
    config = tmp_path / "map.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "127.0.0.1:{free_port()}"\n'
        '[[source]]\nfeeds = "acb"\ntopic = "acb"\nstream = "ng7"\n[source.fields]\nts_ms = "at"\nboost = "boost"\n'
    )
    said = violet("sequence", "--config", config, "--topic", "out")
    assert (said.code, "cannot be reached" in said.err) == (3, True), said.err


def test_doctor_says_that_nothing_is_proved_where_nobody_denies(tmp_path, broker):
    said = violet("doctor", "--bootstrap-servers", broker.bootstrap, "--data", tmp_path / "none", "--json")
    rows = {row["check"]: row for row in json.loads(said.out)}
    assert rows["broker"]["ok"]
    assert "not proved: the broker does not deny" in rows["darkness"]["found"]
