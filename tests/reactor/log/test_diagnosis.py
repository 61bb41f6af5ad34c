"""What is wrong on the way to a broker is named; tests/integration/test_secured.py does the same on a real one."""

import socket
import ssl
import threading

import pytest
from confluent_kafka import KafkaError

from reactor.log.connection import Connection, plain
from reactor.log.diagnosis import Faults, advertised, denied, why
from reactor.log.tansu import free_port
from tests.secured import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def listener():
    """listener(CONTEXT): the port of a listener that shakes hands and says nothing; without a context it only accepts."""
    made = []

    def start(context=None):
        server = socket.create_server(("127.0.0.1", 0))
        made.append(server)

        def serve():
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    try:
                        if context is None:
                            client.sendall(b"not TLS at all\r\n")
                        else:
                            context.wrap_socket(client, server_side=True).close()
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        return server.getsockname()[1]

    yield start
    for server in made:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def served(authority, name, **how):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign(name, **how))
    return context


def tls(port, ca):
    return Connection(bootstrap_servers=f"127.0.0.1:{port}", security_protocol="SSL", ssl_ca=ca)


def test_a_certificate(authority, listener, tmp_path):
    other = Authority(tmp_path, "other")
    cases = {
        "has expired": (served(authority, "old", names="IP:127.0.0.1", expired=True), authority),
        "is for another host": (served(authority, "else", names="DNS:kafka.example"), authority),
        "is of an unknown CA": (served(authority, "good", names="IP:127.0.0.1"), other),
    }
    for words, (context, ca) in cases.items():
        found = why(tls(listener(context), ca.certificate), Faults())
        assert words in found.words
        assert not found.passes


def test_one_side_speaks_tls(authority, listener):
    port = listener(served(authority, "one", names="IP:127.0.0.1"))
    assert (
        "speaks TLS, this client does not; fix: kafka.security_protocol"
        in why(plain(f"127.0.0.1:{port}"), Faults()).words
    )
    assert "does not speak TLS" in why(tls(listener(), authority.certificate), Faults()).words


def test_nobody_is_there():
    found = why(plain(f"127.0.0.1:{free_port()}"), Faults())
    assert ("cannot be reached (Connection refused)" in found.words, found.passes) == (True, True)
    found = why(plain("no-such-host.invalid:9092"), Faults())
    assert ("no name service knows the host" in found.words, found.passes) == (True, False)


def test_one_address_that_answers_is_enough(listener):
    found = why(plain(f"no-such-host.invalid:9092,127.0.0.1:{listener()}"), Faults())
    assert "takes a connection and answers nothing" in found.words


def test_a_refused_login_wins_and_is_masked():
    faults = Faults()
    faults(KafkaError(KafkaError._AUTHENTICATION, "Authentication failed for hunter2-S3CRET"))
    known = Connection(
        bootstrap_servers="127.0.0.1:1", security_protocol="SASL_SSL", sasl_mechanism="PLAIN", sasl_username="shadow",
        sasl_password="hunter2-S3CRET",
    )  # fmt: skip
    words = why(known, faults).words
    assert "refuses user 'shadow': wrong user or password" in words
    assert "hunter2" not in words


def test_an_advertised_address(listener):
    here = plain(f"127.0.0.1:{listener()}")
    assert advertised(here, here.addresses()) is None
    assert advertised(here, [("127.0.0.1", listener())]) is None
    words = advertised(here, [("kafka.invalid", 9092)])
    assert "sends its clients to kafka.invalid:9092, but no name service knows the host" in words
    assert advertised(here, [("kafka.invalid", 9092), ("127.0.0.1", listener())]) is None


def test_a_missing_right_names_user_right_and_resource():
    error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    words = denied(plain("h:1"), "read topic 't'", "READ", error)
    assert words.startswith("an anonymous client may not read topic 't': ")
    assert words.endswith("fix: an ACL that allows READ on the topic")


def test_an_advertised_address_that_the_library_could_not_reach(listener):
    faults = Faults()
    words = "sasl_ssl://kafka.invalid:9092/1: Failed to resolve 'kafka.invalid:9092': Name or service not known"
    faults(KafkaError(KafkaError._RESOLVE, words))
    here = plain(f"127.0.0.1:{listener()}")
    assert "sends its clients to kafka.invalid:9092" in why(here, faults).words
    faults = Faults()
    faults(KafkaError(KafkaError._RESOLVE, words.replace("/1: ", "/bootstrap: ")))
    assert "sends its clients" not in why(here, faults).words
