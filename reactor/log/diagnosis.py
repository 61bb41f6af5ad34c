"""Diagnosis: what is wrong between here and a broker, by name: address, TLS, certificate, login, listener, right.

The client library says little of a failed handshake, so the addresses are tried once more by hand: look up, connect,
shake hands. Nothing secret is sent: the login is judged by what the library was told.
See docs/design/running.md.
"""

import re
import socket
import ssl
from collections.abc import Sequence
from typing import Final, NamedTuple

from confluent_kafka import KafkaError

from reactor.log.connection import Connection

PROBE_S: Final = 2.0  # for an address to answer
LISTEN_S: Final = 0.5  # for a broker to refuse a client's certificate after the handshake
_SHOWN: Final = 3  # addresses tried
_BROKER: Final = re.compile(r"(?:\w+://)?(?P<host>\S+):(?P<port>\d+)/\d+: ")  # with a number: not a bootstrap server
_LOGIN: Final = KafkaError._AUTHENTICATION
_DENIED: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "cluster",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "transactional id",
}
_UNKNOWN_CA: Final = frozenset({2, 18, 19, 20, 21})  # X509_V_ERR_*: no issuer found, or one that nobody vouches for
_EXPIRED: Final = 10
_NOT_YET: Final = 9
_OTHER_NAME: Final = frozenset({62, 64})


class Faults:
    """What a client was told of its connections: an `error_cb` that remembers."""

    def __init__(self) -> None:
        self._found: list[KafkaError] = []

    def __call__(self, error: KafkaError) -> None:
        self._found = [*self._found[-19:], error]

    def login(self) -> str | None:
        """What the broker says to the login."""
        return next((error.str() for error in self._found if error.code() == _LOGIN), None)

    def brokers(self) -> list[tuple[str, int]]:
        """Addresses that a broker sent its clients to, of those that failed."""
        named = [_BROKER.match(error.str()) for error in self._found]
        return list(dict.fromkeys((each["host"].strip("[]"), int(each["port"])) for each in named if each))

    def last(self) -> str:
        """The last of them in the library's words."""
        words = [error.str() for error in self._found if error.code() != KafkaError._ALL_BROKERS_DOWN]
        return words[-1] if words else ""


def is_denied(error: KafkaError) -> bool:
    """Whether the broker knows the user, who lacks a right."""
    return error.code() in _DENIED


def denied(connection: Connection, what: str, right: str, error: KafkaError) -> str:
    """A missing right, for people.

    Args:
        connection: whose user lacks it.
        what: for what it is needed.
        right: its name in Kafka's ACLs, such as READ.
        error: the broker's answer.
    """
    kind = _DENIED.get(error.code(), "topic")
    return f"{user(connection)} may not {what}: {error.str()}; fix: an ACL that allows {right} on the {kind}"


def user(connection: Connection) -> str:
    """Who a connection is on the broker, for people."""
    if connection.sasl_username:
        return f"user {connection.sasl_username!r}"
    return "the client's certificate" if connection.ssl_certificate else "an anonymous client"


class Why(NamedTuple):
    """What is wrong with the way to a broker, with its fix. passes: it may pass by itself, as where a broker starts."""

    words: str
    passes: bool = False


def why(connection: Connection, faults: Faults) -> Why | None:
    """What is wrong with the way to a broker that does not answer; None where nothing is found."""
    if login := faults.login():
        return Why(_of_login(connection, connection.masked(login)))
    tried = [_tried(connection, host, port) for host, port in connection.addresses()[:_SHOWN]]
    wrong = list(filter(None, tried))
    if len(wrong) == len(tried):
        return next((found for found in wrong if found.passes), wrong[0])
    if words := advertised(connection, faults.brokers()):
        return Why(words)
    if not connection.is_sasl:
        words = f"{connection.bootstrap_servers} takes a connection and answers nothing to a client without a login"
        fix = "if it wants one, kafka.security_protocol SASL_SSL (or SASL_PLAINTEXT), sasl_mechanism and sasl_username"
        return Why(f"{words}; fix: {fix}", passes=True)
    return None


def advertised(connection: Connection, brokers: Sequence[tuple[str, int]]) -> str | None:
    """What is wrong with the addresses that a broker sends its clients to; None where one of them answers."""
    if set(connection.addresses()) & set(brokers):
        return None
    wrong = [(each, _unreached(*each)) for each in brokers[:_SHOWN]]
    if not wrong or not all(found for _, found in wrong):
        return None
    (host, port), found = wrong[0]
    return (
        f"{connection.bootstrap_servers} answers and sends its clients to {host}:{port}, but "
        f"{found and found.words}; fix: advertised.listeners of the broker, or a name service that knows {host!r}"
    )


def _tried(connection: Connection, host: str, port: int) -> Why | None:
    if found := _unreached(host, port):
        start = "start the broker, or give --bootstrap-servers HOST:PORT of one that runs"
        fix = start if found.passes else "the host's name in --bootstrap-servers, or in kafka.bootstrap_servers"
        return found._replace(words=f"{found.words}; fix: {fix}")
    if (context := connection.tls()) is not None:
        return _handshake(context, host, port)
    if _speaks_tls(host, port):
        protocol = "SASL_SSL" if connection.is_sasl else "SSL, or SASL_SSL with a login"
        return Why(f"{host}:{port} speaks TLS, this client does not; fix: kafka.security_protocol {protocol}")
    return None


def _unreached(host: str, port: int) -> Why | None:
    """Why an address cannot be connected to."""
    try:
        socket.create_connection((host, port), PROBE_S).close()
    except socket.gaierror:
        return Why(f"no name service knows the host {host!r}")
    except TimeoutError:
        return Why(
            f"{host}:{port} does not answer within {PROBE_S:.0f} s (a firewall, or no such machine)", passes=True
        )
    except OSError as error:
        return Why(f"{host}:{port} cannot be reached ({error.strerror or error})", passes=True)
    return None


def _handshake(context: ssl.SSLContext, host: str, port: int) -> Why | None:
    """What is wrong with TLS to an address."""
    try:
        bare = socket.create_connection((host, port), PROBE_S)
        with context.wrap_socket(bare, server_hostname=host) as secured:
            secured.settimeout(LISTEN_S)
            secured.recv(1)  # under TLS 1.3 a client's certificate is refused only now
    except ssl.SSLCertVerificationError as error:
        return Why(_of_certificate(f"the certificate of {host}:{port}", error))
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        if "alert" in reason:
            fix = "kafka.ssl_certificate and ssl_key that are in date and of a CA that the broker knows"
            return Why(f"{host}:{port} refuses this client's certificate ({reason}); fix: {fix}")
        fix = "kafka.security_protocol, or the port of its TLS listener"
        return Why(f"{host}:{port} does not speak TLS ({reason}); fix: {fix}")
    except OSError:
        return None
    return None


def _of_certificate(certificate: str, error: ssl.SSLCertVerificationError) -> str:
    code, words = error.verify_code, error.verify_message
    if code in (_EXPIRED, _NOT_YET):
        when = "has expired" if code == _EXPIRED else "is not valid yet"
        return f"{certificate} {when}; fix: renew it on the broker, or set this machine's clock"
    if code in _OTHER_NAME:
        return f"{certificate} is for another host ({words}); fix: a host name that it bears"
    if code in _UNKNOWN_CA:
        return f"{certificate} is of an unknown CA ({words}); fix: kafka.ssl_ca, the PEM file of the CA that signed it"
    return f"{certificate} does not hold ({words}); fix: mend it on the broker"


def _of_login(connection: Connection, said: str) -> str:
    small = said.lower()
    if "unsupported" in small and "mechanism" in small:
        return f"the broker does not take the login {connection.sasl_mechanism} ({said}); fix: kafka.sasl_mechanism"
    if "acquire" in small and "token" in small:
        return f"no token for the login OAUTHBEARER ({said}); fix: sasl.oauthbearer.* in [kafka.librdkafka]"
    if "not valid in current sasl state" in small or "handshake failed" in small:
        return f"the broker's listener takes no login ({said}); fix: kafka.security_protocol, or another port"
    return (
        f"the broker refuses {user(connection)}: wrong user or password ({said}); fix: kafka.sasl_username, and "
        "sasl_password_file or VIOLET_KAFKA_PASSWORD"
    )


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent over it
    try:
        with context.wrap_socket(socket.create_connection((host, port), PROBE_S / 2), server_hostname=host):
            return True
    except ssl.SSLError as error:
        return "alert" in (error.reason or "").lower()
    except OSError:
        return False
