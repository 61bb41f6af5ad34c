"""Connection: the `[kafka]` table of a config, and the settings that every client of a broker gets from it.

librdkafka's clients take `client()`; Faust's driver, which has Python's own TLS, takes `tls()` and `password()`.
Secrets come from files and the environment, and are shown nowhere: what the library says goes through `masked`.
See docs/design/running.md.
"""

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from journal.engine.address import is_loopback
from journal.refusal import Refusal

PASSWORD: Final = "VIOLET_KAFKA_PASSWORD"  # noqa: S105 - the name of the variable
_TYPED: Final = {  # our names of librdkafka's settings
    "bootstrap_servers": "bootstrap.servers", "security_protocol": "security.protocol",
    "sasl_mechanism": "sasl.mechanism", "sasl_username": "sasl.username", "sasl_password_file": "sasl.password",
    "ssl_ca": "ssl.ca.location", "ssl_certificate": "ssl.certificate.location", "ssl_key": "ssl.key.location",
    "ssl_key_password_file": "ssl.key.password",
}  # fmt: skip
_ALIASES: Final = {"metadata.broker.list": "bootstrap_servers", "sasl.mechanisms": "sasl_mechanism"}
_FIXED: Final = frozenset(  # another value of these would lose, skip or double records
    {"allow.auto.create.topics", "auto.commit.enable", "auto.offset.reset", "client.id", "enable.auto.commit"}
    | {"enable.auto.offset.store", "enable.idempotence", "enable.partition.eof", "group.id", "group.instance.id"}
    | {"group.protocol", "isolation.level", "transactional.id"}
)
UNVERIFIED: Final = "enable.ssl.certificate.verification"
UNNAMED: Final = "ssl.endpoint.identification.algorithm"
_SECRET: Final = re.compile(r"password|passphrase|secret|token|key|config|pem")  # names of settings that may hold one
_PORTS: Final = 65_536
_FILES: Final = ("sasl_password_file", "ssl_ca", "ssl_certificate", "ssl_key", "ssl_key_password_file")


class Connection(BaseModel):
    """The `[kafka]` table: how clients reach a broker. `[kafka.librdkafka]` takes any other setting of librdkafka."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bootstrap_servers: str = Field(default="", description="Brokers, HOST:PORT,HOST:PORT; a flag wins over it.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None, description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER."
    )
    sasl_username: str | None = Field(default=None, description="User of the login.")
    sasl_password_file: Path | None = Field(
        default=None, description="File with the user's password; or the variable VIOLET_KAFKA_PASSWORD."
    )
    ssl_ca: Path | None = Field(
        default=None, description="PEM file of the CA that signed the broker's certificate; else the system's CAs."
    )
    ssl_certificate: Path | None = Field(default=None, description="PEM file of the client's certificate (mutual TLS).")
    ssl_key: Path | None = Field(default=None, description="PEM file of the client's private key.")
    ssl_key_password_file: Path | None = Field(default=None, description="File with the key's password.")
    replication_factor: int | None = Field(
        default=None, ge=1, le=32_767, description="Replicas of topics that are made; else the broker's default."
    )
    allow_plaintext: bool = Field(
        default=False, description="Let a login go over a connection without TLS to another machine."
    )
    librdkafka: dict[str, SecretStr] = Field(
        default={}, description="A table: any other setting of librdkafka, passed on as it is."
    )
    sasl_password: SecretStr | None = Field(default=None, repr=False)  # from the environment alone

    @field_validator("librdkafka", mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        """`socket.timeout.ms = 5` without quotes is three tables in TOML; here they are one name again."""
        return dict(_flattened(value)) if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for key in self.librdkafka:
            twin = next((ours for ours, theirs in _TYPED.items() if theirs == key), _ALIASES.get(key))
            if twin is not None:
                raise ValueError(f"librdkafka.{key} has a setting of its own; fix: kafka.{twin}")
            if key in _FIXED:
                raise ValueError(f"librdkafka.{key} is fixed, so that no record is lost; fix: leave it out")
        for prefix, has in (("ssl_", self.is_tls), ("sasl_", self.is_sasl)):
            if not has and (given := [name for name in _TYPED if name.startswith(prefix) and getattr(self, name)]):
                fix = "SSL or SASL_SSL" if prefix == "ssl_" else "SASL_SSL or SASL_PLAINTEXT"
                protocol = f"security_protocol {self.security_protocol}"
                raise ValueError(f"{given[0]} has no effect under {protocol}; fix: {fix}")
        if self.is_sasl and self.sasl_mechanism is None:
            raise ValueError(f"{self.security_protocol} must have a sasl_mechanism; fix: PLAIN or SCRAM-SHA-512")
        if self.is_sasl and self.sasl_mechanism != "OAUTHBEARER":
            if not self.sasl_username:
                raise ValueError(f"{self.sasl_mechanism} must have a user; fix: sasl_username")
            if self.sasl_password is None and self.sasl_password_file is None:
                raise ValueError(f"{self.sasl_mechanism} must have a password; fix: sasl_password_file, or {PASSWORD}")
        if (self.ssl_certificate is None) != (self.ssl_key is None):
            raise ValueError("ssl_certificate and ssl_key go together; fix: give both")
        if self.ssl_key_password_file is not None and self.ssl_key is None:
            raise ValueError("ssl_key_password_file is of no key; fix: ssl_key")
        return self

    @property
    def is_tls(self) -> bool:
        return self.security_protocol.endswith("SSL")

    @property
    def is_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL_")

    def at(self, bootstrap: str | None) -> Self:
        """The same to another broker, where one is given."""
        return self.model_copy(update={"bootstrap_servers": bootstrap}) if bootstrap else self

    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each bootstrap server. Raises Refusal where one is not HOST:PORT."""
        return [_address(text) for text in self.bootstrap_servers.split(",") if text.strip()]

    def client(self) -> dict[str, Any]:
        """The settings of a librdkafka client.

        Raises:
            Refusal: a file cannot be read, or the login would go in clear to another machine.
        """
        self._check()
        found: dict[str, Any] = {"log_level": 0, "security.protocol": self.security_protocol}
        for ours, theirs in _TYPED.items():
            if (value := getattr(self, ours)) is not None and not ours.endswith("_file"):
                found[theirs] = str(value)
        found |= {name: value.get_secret_value() for name, value in self.librdkafka.items()}
        password, key_password = self.password(), self._read("ssl_key_password_file")
        if self.sasl_mechanism == "OAUTHBEARER":
            # An OIDC login: its client is the user, its secret the password.
            names = {"sasl.oauthbearer.client.id": self.sasl_username, "sasl.oauthbearer.client.secret": password}
        else:
            names = {"sasl.password": password}
        found |= {name: value for name, value in names.items() if value}
        return found | ({"ssl.key.password": key_password} if key_password else {})

    def password(self) -> str | None:
        """The login's password: the environment's, else the file's."""
        if not self.is_sasl:
            return None
        return self.sasl_password.get_secret_value() if self.sasl_password else self._read("sasl_password_file")

    def tls(self) -> ssl.SSLContext | None:
        """The same TLS for Python; None where the connection has none. Raises Refusal where a file does not serve."""
        if not self.is_tls:
            return None
        self._check()
        try:
            context = ssl.create_default_context(cafile=self.ssl_ca)
            if self.ssl_certificate is not None and self.ssl_key is not None:
                key_password = self._read("ssl_key_password_file")
                # Without one it would ask at the terminal.
                context.load_cert_chain(self.ssl_certificate, self.ssl_key, lambda: key_password or "")
        except (ssl.SSLError, ValueError) as error:
            raise Refusal(
                f"kafka.ssl_*: the certificates cannot be used ({error}); fix: PEM files, and the key's own password"
            ) from None
        if self.librdkafka_value(UNNAMED) == "none":
            context.check_hostname = False
        if self.librdkafka_value(UNVERIFIED) in ("false", "0", "f"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def masked(self, text: str) -> str:
        """A text without the secrets of this connection."""
        hidden = [value for name, value in self.librdkafka.items() if _SECRET.search(name)]
        known = [value.get_secret_value() for value in (self.sasl_password, *hidden) if value is not None]
        for name in ("sasl_password_file", "ssl_key_password_file"):
            with suppress(Refusal):
                known.append(self._read(name) or "")
        for secret in sorted(filter(None, known), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def handed(self) -> bytes:
        """All of it, secrets too, for the standard input of a child, which reads it with `model_validate_json`."""
        fields = self.model_dump(mode="json", exclude={"librdkafka", "sasl_password"})
        fields["librdkafka"] = {name: value.get_secret_value() for name, value in self.librdkafka.items()}
        fields["sasl_password"] = self.sasl_password and self.sasl_password.get_secret_value()
        return json.dumps(fields).encode()

    def librdkafka_value(self, name: str) -> str:
        """A setting out of `[kafka.librdkafka]`, in small letters; empty where it is not given."""
        return self.librdkafka[name].get_secret_value().lower() if name in self.librdkafka else ""

    def _check(self) -> None:
        """Refuse what no client may be made of."""
        if not self.addresses():
            raise Refusal("no broker is named; fix: --bootstrap-servers HOST:PORT, or kafka.bootstrap_servers")
        for name in _FILES:
            if getattr(self, name) is not None:
                self._read(name)
        far = [host for host, _ in self.addresses() if not is_loopback(host)]
        if self.security_protocol == "SASL_PLAINTEXT" and far and not self.allow_plaintext:
            raise Refusal(
                f"kafka.security_protocol SASL_PLAINTEXT would send the login in clear to {far[0]}; fix: SASL_SSL, or "
                "kafka.allow_plaintext = true where the network is trusted"
            )

    def _read(self, name: str) -> str | None:
        """The text of a file that a setting names."""
        path: Path | None = getattr(self, name)
        if path is None:
            return None
        try:
            text = path.read_text("utf-8", "replace")
        except OSError as error:
            words = f"kafka.{name}: {path} cannot be read ({error.strerror})"
            raise Refusal(f"{words}; fix: name a readable file") from None
        if not text.strip():
            raise Refusal(f"kafka.{name}: {path} is empty; fix: name the right file")
        return text.rstrip("\r\n")


def plain(bootstrap: str) -> Connection:
    """A broker without login or TLS, such as the embedded one."""
    return Connection(bootstrap_servers=bootstrap)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.strip().rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < _PORTS:
        raise Refusal(f"bootstrap server {text.strip()!r} must be HOST:PORT; fix: such as 127.0.0.1:9092")
    return host.strip("[]"), int(port)


def _flattened(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value).lower() if isinstance(value, bool) else str(value)
