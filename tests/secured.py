"""A secured Kafka for tests: SASL_SSL with SCRAM and PLAIN, mutual TLS, and ACLs; certificates by openssl, made anew.

It denies all that no ACL allows. `shadow` reads what tests allow it, and `feed` fills topics; `admin`, over PLAINTEXT on
loopback, may do all.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from reactor.log.tansu import free_port
from tests import broker as brokers

PASSWORD = "S3CRET-of-the-shadow"
STORE = "changeit"
SHADOW = ("User:shadow", "User:CN=shadow-tls")

# What the tests know of kafka-acls.sh's words.
_ACL = argparse.ArgumentParser(exit_on_error=False)
_ACL.add_argument("--add", action="store_true", required=True)
_ACL.add_argument("--resource-pattern-type", default="literal", choices=("literal", "prefixed"))
for _word in ("--bootstrap-server", "--topic", "--group"):
    _ACL.add_argument(_word)
for _word in ("--allow-principal", "--operation"):
    _ACL.add_argument(_word, action="append", required=True)


def openssl(*words: object) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on PATH to make certificates")
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=30)


class Authority:
    """A CA in a folder, and what it signs."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.certificate, self._key = folder, folder / f"{name}.pem", folder / f"{name}.key"
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN=VIOLET test {name}", "-keyout", self._key, "-out", self.certificate,
        )  # fmt: skip

    def sign(self, name: str, *, subject: str = "", names: str = "", expired: bool = False) -> tuple[Path, Path]:
        """A certificate and its key, both PEM; names: its subjectAltName."""
        key, request, made = (self.folder / f"{name}.{end}" for end in ("key", "csr", "crt"))
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", f"/CN={subject or name}", "-keyout", key, "-out", request,
        )  # fmt: skip
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
        when = ["-days", "-1" if expired else "2"]
        openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial",
            "-extfile", extensions, "-out", made, *when,
        )  # fmt: skip
        return made, key

    def keystore(self, name: str, certificate: Path, key: Path) -> Path:
        """The two as Java reads them."""
        made = self.folder / f"{name}.p12"
        openssl(
            "pkcs12", "-export", "-in", certificate, "-inkey", key, "-certfile", self.certificate, "-name", name,
            "-out", made, "-passout", f"pass:{STORE}",
        )  # fmt: skip
        return made


class Recorder:
    """A listener on loopback that forwards connections, and keeps every byte that passes. tls: it ends TLS here.

    One event loop: what two threads do with one TLS connection at the same time may hang both.
    """

    def __init__(self, to: int, tls: ssl.SSLContext | None = None) -> None:
        self._to, self.seen, self.begins = to, bytearray(), []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        served = asyncio.all_tasks() - {asyncio.current_task()}
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        try:
            server, request = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            answer.close()
            return
        await asyncio.gather(self._forward(client, request, self.begins), self._forward(server, answer))

    async def _forward(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, begins: list[bytes] | None = None
    ) -> None:
        try:
            with contextlib.suppress(OSError):
                while block := await source.read(1 << 16):
                    if begins is not None:
                        begins.append(block[:1])
                        begins = None
                    self.seen += block
                    target.write(block)
                    await target.drain()
        finally:
            target.close()


@dataclass
class Secured:
    """The broker, its ports by listener, and what its clients need."""

    broker: brokers.KafkaBroker
    authority: Authority
    ports: dict[str, int]
    folder: Path
    wire: Recorder  # what the clients of the SASL listener send and get

    def __post_init__(self) -> None:
        self.password_file = self.folder / "password"
        self.password_file.write_text(f"{PASSWORD}\n")
        self.client = self.authority.sign("shadow-tls")

    def at(self, listener: str, host: str = "127.0.0.1") -> str:
        return f"{host}:{self.ports[listener]}"

    def config(self, protocol: str, name: str = "secured.toml", more: str = "", **changed: object) -> Path:
        """A config with a `[kafka]` table. protocol: scram, scram256, plain, oauth or mtls."""
        mutual = protocol == "mtls"
        table: dict[str, object] = {"ssl_ca": self.authority.certificate}
        if protocol == "oauth":
            table |= {
                "bootstrap_servers": self.at("SASL"), "security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER",
            }  # fmt: skip
            more += "\n[kafka.librdkafka]\nenable.sasl.oauthbearer.unsecure.jwt = true\n"
            more += 'sasl.oauthbearer.config = "principal=shadow"\n'
        elif mutual:
            table |= {
                "bootstrap_servers": self.at("MTLS"), "security_protocol": "SSL",
                "ssl_certificate": self.client[0], "ssl_key": self.client[1],
            }  # fmt: skip
        else:
            mechanism = {"scram": "SCRAM-SHA-512", "scram256": "SCRAM-SHA-256", "plain": "PLAIN"}[protocol]
            table |= {
                "bootstrap_servers": self.at("SASL"), "security_protocol": "SASL_SSL", "sasl_mechanism": mechanism,
                "sasl_username": "shadow", "sasl_password_file": self.password_file,
            }  # fmt: skip
        lines = [f'{key} = "{value}"' for key, value in (table | changed).items() if value is not None]
        path = self.folder / name
        path.write_text("\n".join(["[kafka]", *lines, more, ""]))
        return path

    def admin(self) -> AdminClient:
        return self.broker.admin()

    def allow(self, topic: str, *operations: str, prefix: bool = False, who: Sequence[str] = SHADOW) -> None:
        """Let the shadow, by password and by certificate, or somebody else do this to a topic."""
        self._allow(ResourceType.TOPIC, topic, operations, who, prefix=prefix)

    def allow_group(self, name: str) -> None:
        """Let the shadow be in groups whose names begin so."""
        self._allow(ResourceType.GROUP, name, ("READ",), SHADOW, prefix=True)

    def by_script(self, topic: str, name: str) -> None:
        """The ACLs of deploy/kafka/acls.sh, for the shadow by its password and for the feed."""
        script, took = Path(__file__).parents[1] / "deploy/kafka/acls.sh", self.folder / "kafka-acls"
        took.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$*\" >> {self.folder}/acls.txt\n")
        took.chmod(0o755)
        done = [script, self.at("PLAINTEXT"), topic, name, "User:shadow", "User:feed"]
        subprocess.run(done, check=True, env={**os.environ, "KAFKA_ACLS": str(took)}, timeout=30)
        for line in (self.folder / "acls.txt").read_text().splitlines():
            asked = _ACL.parse_args(line.split())
            kind, of = (ResourceType.TOPIC, asked.topic) if asked.topic else (ResourceType.GROUP, asked.group)
            wanted = tuple(each.upper() for each in asked.operation)
            self._allow(kind, of, wanted, asked.allow_principal, prefix=asked.resource_pattern_type == "prefixed")

    def _allow(
        self, kind: ResourceType, name: str, operations: tuple[str, ...], principals: Sequence[str], *, prefix: bool
    ) -> None:
        pattern = ResourcePatternType.PREFIXED if prefix else ResourcePatternType.LITERAL
        wanted = [
            AclBinding(kind, name, pattern, who, "*", AclOperation[operation], AclPermissionType.ALLOW)
            for who in principals
            for operation in operations
        ]
        admin = self.admin()
        for future in admin.create_acls(wanted).values():
            future.result(10)


@contextmanager
def secured(
    home: Path, *, names: str = "IP:127.0.0.1,DNS:localhost", expired: bool = False, advertised: str = "127.0.0.1"
) -> Iterator[Secured]:
    """A secured Kafka of its own. names, expired: its certificate. advertised: its host, as SASL's clients hear it.

    Raises NoKafka where there are no jars or no Java."""
    way, reasons = brokers.ways()
    if way != "jars":
        raise brokers.NoKafka("; ".join(reasons) or "its listeners are made of the jars on the local Java alone")
    home.mkdir(parents=True, exist_ok=True)
    authority = Authority(home / "certificates")
    store = authority.keystore("broker", *authority.sign("broker", names=names, expired=expired))
    trust = home / "certificates" / "trust.p12"
    subprocess.run(
        ["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", authority.certificate, "-keystore", trust,
         "-storetype", "PKCS12", "-storepass", STORE], check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    ports = {name: free_port() for name in ("PLAINTEXT", "CONTROLLER", "SASL", "MTLS")}
    jaas = "org.apache.kafka.common.security.{} required{};"
    plain = f' username="admin" password="x" user_shadow="{PASSWORD}" user_feed="{PASSWORD}"'
    listeners = [f"{name}://127.0.0.1:{port}" for name, port in ports.items()]
    wire = Recorder(ports["SASL"])
    ports["SASL"] = wire.port  # so every client of it goes through the recorder
    hosts = {"SASL": advertised}
    shown = [f"{name}://{hosts.get(name, '127.0.0.1')}:{port}" for name, port in ports.items() if name != "CONTROLLER"]
    settings = {
        "listeners": ",".join(listeners),
        "advertised.listeners": ",".join(shown),
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{ports['CONTROLLER']}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,MTLS:SSL",
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        "listener.name.sasl.plain.sasl.jaas.config": jaas.format("plain.PlainLoginModule", plain),
        # It takes a token that nobody signed: what is tried is the client's way of giving one.
        "listener.name.sasl.oauthbearer.sasl.jaas.config": jaas.format(
            "oauthbearer.OAuthBearerLoginModule", ' unsecuredLoginStringClaim_sub="broker"'
        ),
        "listener.name.sasl.scram-sha-256.sasl.jaas.config": jaas.format("scram.ScramLoginModule", ""),
        "listener.name.sasl.scram-sha-512.sasl.jaas.config": jaas.format("scram.ScramLoginModule", ""),
        "ssl.keystore.location": str(store), "ssl.keystore.password": STORE, "ssl.keystore.type": "PKCS12",
        "ssl.truststore.location": str(trust), "ssl.truststore.password": STORE, "ssl.truststore.type": "PKCS12",
        "listener.name.mtls.ssl.client.auth": "required",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS", "allow.everyone.if.no.acl.found": "false",
    }  # fmt: skip
    users = [f"SCRAM-SHA-{n}=[name={who},password={PASSWORD}]" for n in (256, 512) for who in ("shadow", "feed")]
    broker = brokers.KafkaBroker(home, brokers.jars(), settings, users)
    broker.bootstrap = f"127.0.0.1:{ports['PLAINTEXT']}"
    broker.ready_s = 120.0  # its start costs three times that of a plain one
    try:
        broker.start()
        yield Secured(broker, authority, ports, home, wire)
    finally:
        broker.kill()
        wire.close()
