"""One module makes the settings of every client: what may stand in `[kafka]`, and that no secret is shown."""

import ssl

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from journal.refusal import Refusal
from reactor.log.connection import Connection, plain
from reactor.run.settings import broker, load
from tests.secured import Authority

SECRET = "hunter2-S3CRET"
LOGIN = {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "shadow"}


@pytest.fixture
def config(tmp_path):
    """config(KEY=VALUE, ..., more=TOML): a file whose [kafka] this is."""

    def write(more="", **table):
        path = tmp_path / "soak.toml"
        lines = [
            f"{key} = {str(value).lower() if isinstance(value, bool) else repr(str(value))}"
            for key, value in table.items()
        ]
        path.write_text("\n".join(["[kafka]", *lines, more]))
        return path

    return write


def known(path, password=SECRET):
    return broker(path, None, {"VIOLET_KAFKA_PASSWORD": password} if password else {})


def test_a_broker_without_login_or_tls_needs_nothing_else():
    found = plain("127.0.0.1:9092").client()
    assert found == {"bootstrap.servers": "127.0.0.1:9092", "security.protocol": "PLAINTEXT", "log_level": 0}


def test_every_key_reaches_the_client_library(config, tmp_path):
    authority = Authority(tmp_path / "pem")
    certificate, key = authority.sign("shadow")
    (tmp_path / "password").write_text(f"{SECRET}\n")
    found = known(
        config(
            bootstrap_servers="h:1,g:2", ssl_ca=authority.certificate, ssl_certificate=certificate, ssl_key=key,
            sasl_password_file=tmp_path / "password", **LOGIN,
        ), None,
    ).client()  # fmt: skip
    assert found == {
        "bootstrap.servers": "h:1,g:2", "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "shadow", "sasl.password": SECRET, "ssl.ca.location": str(authority.certificate),
        "ssl.certificate.location": str(certificate), "ssl.key.location": str(key), "log_level": 0,
    }  # fmt: skip
    for kind in (Consumer, Producer, AdminClient):
        kind({**found, **({"group.id": "g"} if kind is Consumer else {})})


def test_the_environment_wins_over_the_file_of_the_password(config, tmp_path):
    (tmp_path / "password").write_text("another")
    path = config(bootstrap_servers="h:1", sasl_password_file=tmp_path / "password", **LOGIN)
    assert (known(path).password(), known(path, None).password()) == (SECRET, "another")


def test_other_settings_are_passed_on_as_they_are(config):
    more = '[kafka.librdkafka]\nsocket.keepalive.enable = true\n"client.rack" = "a"\nsocket.timeout.ms = 7000\n'
    found = known(config(more, bootstrap_servers="h:1")).client()
    assert {name: found[name] for name in ("socket.keepalive.enable", "client.rack", "socket.timeout.ms")} == {
        "socket.keepalive.enable": "true", "client.rack": "a", "socket.timeout.ms": "7000",
    }  # fmt: skip


REFUSED = {
    "a password in the file": ({"sasl_password": "x"}, "", "unknown key kafka.sasl_password"),
    "a name of the library's": ({}, '"security.protocol" = "SSL"', "did you mean 'security_protocol'"),
    "a setting of the library's": ({}, '"socket.timeout.ms" = 5', "[kafka.librdkafka]"),
    "an unknown protocol": ({"security_protocol": "TLS"}, "", "kafka.security_protocol"),
    "an unknown mechanism": ({**LOGIN, "sasl_mechanism": "CRAM"}, "", "kafka.sasl_mechanism"),
    "a login without TLS or SASL": ({"sasl_username": "u"}, "", "sasl_username has no effect under"),
    "a CA without TLS": ({"ssl_ca": "ca.pem"}, "", "ssl_ca has no effect under"),
    "no mechanism": ({"security_protocol": "SASL_SSL"}, "", "must have a sasl_mechanism"),
    "no user": ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}, "", "must have a user; fix: sasl_username"),
    "a certificate without a key": ({"security_protocol": "SSL", "ssl_certificate": "c"}, "", "go together"),
    "a key's password without a key": ({"security_protocol": "SSL", "ssl_key_password_file": "p"}, "", "of no key"),
    "a setting that has a name of ours": ({}, '[kafka.librdkafka]\n"ssl.ca.location" = "x"', "kafka.ssl_ca"),
    "the library's other name": ({}, '[kafka.librdkafka]\n"sasl.mechanisms" = "x"', "kafka.sasl_mechanism"),
    "a setting that would lose records": ({}, "[kafka.librdkafka]\nenable.auto.commit = true", "is fixed"),
    "no table": ({}, 'librdkafka = "x"', "kafka.librdkafka"),
    "no replicas": ({"replication_factor": 0}, "", "kafka.replication_factor"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_by_name(config, case):
    table, more, words = REFUSED[case]
    for read in (known, lambda path: load({}, path, {"VIOLET_KAFKA_PASSWORD": SECRET})):
        with pytest.raises(Refusal) as refusal:
            read(config(more, **table))
        assert words in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_no_password_is_refused(config):
    with pytest.raises(Refusal, match="must have a password; fix: sasl_password_file, or VIOLET_KAFKA_PASSWORD"):
        known(config(**LOGIN), None)


@pytest.mark.parametrize(
    ("far", "allowed"), [("kafka:9092", True), ("10.0.0.5:9092", True), ("127.0.0.1:1,kafka:2", True),
                         ("127.0.0.1:9092", False), ("localhost:9092", False), ("[::1]:9092", False)],
)  # fmt: skip
def test_a_login_in_clear_is_refused_off_loopback(config, far, allowed):
    table = {**LOGIN, "security_protocol": "SASL_PLAINTEXT", "bootstrap_servers": far}
    if allowed:
        with pytest.raises(Refusal, match="in clear to .*; fix: SASL_SSL, or kafka.allow_plaintext = true"):
            known(config(**table)).client()
        table["allow_plaintext"] = True
    assert known(config(**table)).client()["sasl.password"] == SECRET


def test_a_broker_that_a_flag_names_is_judged_too(config):
    kept = known(config(**{**LOGIN, "security_protocol": "SASL_PLAINTEXT", "bootstrap_servers": "127.0.0.1:9092"}))
    with pytest.raises(Refusal, match="in clear to kafka"):
        kept.at("kafka:9092").client()


@pytest.mark.parametrize("key", ["ssl_ca", "sasl_password_file"])
@pytest.mark.parametrize("content", [None, ""])
def test_a_file_that_does_not_serve_is_named(config, tmp_path, key, content):
    path = tmp_path / "given"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Refusal, match=f"kafka.{key}: .*given (cannot be read|is empty).*; fix: "):
        known(config(bootstrap_servers="h:1", **LOGIN, **{key: path})).client()


def test_an_address_must_be_host_and_port():
    for text in ("kafka", "kafka:", ":9092", "kafka:x", "kafka:0", "kafka:70000"):
        with pytest.raises(Refusal, match="must be HOST:PORT"):
            plain(text).client()
    with pytest.raises(Refusal, match="no broker is named"):
        Connection().client()
    assert plain("SSL://a:1, [::1]:2").addresses() == [("a", 1), ("::1", 2)]


def test_a_secret_is_never_shown(config):
    more = f'[kafka.librdkafka]\n"sasl.oauthbearer.client.secret" = "{SECRET}2"\n'
    found = known(config(more, bootstrap_servers="h:1", **LOGIN))
    assert SECRET not in repr(found) + str(found) + found.model_dump_json()
    assert found.masked(f"a {SECRET} and {SECRET}2") == "a *** and ***"


def test_a_child_is_handed_all_of_it(config):
    more = '[kafka.librdkafka]\n"ssl.key.pem" = "PEM"\n'
    found = known(config(more, bootstrap_servers="h:1", **LOGIN))
    again = Connection.model_validate_json(found.handed())
    assert (again, again.client()) == (found, found.client())


def test_the_same_tls_for_python(tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.sign("shadow")
    files = {"ssl_ca": authority.certificate, "ssl_certificate": certificate, "ssl_key": key}
    given = {"bootstrap_servers": "h:1", "security_protocol": "SSL", **files}
    context = Connection(**given).tls()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    lax = Connection(**given, librdkafka={"ssl.endpoint.identification.algorithm": "none"}).tls()
    assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_REQUIRED, False)
    none = Connection(**given, librdkafka={"enable.ssl.certificate.verification": False}).tls()
    assert (none.verify_mode, none.check_hostname) == (ssl.CERT_NONE, False)
    with pytest.raises(Refusal, match="the certificates cannot be used"):
        Connection(**{**given, "ssl_key": certificate}).tls()
    assert plain("h:1").tls() is None
