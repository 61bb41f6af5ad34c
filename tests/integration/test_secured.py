"""The main job on a secured cluster: SASL_SSL with SCRAM, mutual TLS, ACLs; and what is wrong is named, within 10 s."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import broker as brokers
from tests.integration import records, soaking
from tests.integration.soaking import until, violet
from tests.secured import PASSWORD, Authority, secured

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
COUNT = 300
NAMED_S = 10.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with brokers.or_skip(), secured(tmp_path_factory.mktemp("secured")) as made:
        for topic in ("scans", "readable"):
            made.broker.create_topic(topic)
            made.allow(topic, "READ", "DESCRIBE")
            made.allow(topic, "READ", "WRITE", "DESCRIBE", who=["User:feed"])
        made.allow("violet.", "READ", "WRITE", "CREATE", "DESCRIBE", prefix=True)
        made.allow_group("secured")
        yield made


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return records.write(tmp_path_factory.mktemp("archive") / "scans.jsonl", records.mixed(COUNT, long=False))


@pytest.fixture(scope="module")
def published(cluster, archive):
    """The archive in the topic `scans`, by `violet publish` over SASL_SSL."""
    feed = cluster.config("scram", "feed.toml", sasl_username="feed")
    said = violet("publish", "--scans", archive, "--topic", "scans", "--config", feed, "--json")
    assert said.json["lines"] == COUNT
    return said


@pytest.fixture(scope="module")
def truth(tmp_path_factory, archive):
    """The content hash of the same records, out of the archive."""
    return soaking.soak(tmp_path_factory.mktemp("truth"), scans=archive, name="truth").hash


@pytest.mark.parametrize("protocol", ["scram", "scram256", "plain", "oauth", "mtls"])
def test_the_main_job(cluster, published, truth, tmp_path, protocol):
    config, name = cluster.config(protocol, f"{protocol}.toml"), f"secured-{protocol}"
    flags = {"topic": "scans", "until": str(COUNT), "name": name, "taps": "acb,ob"}
    soaked = soaking.soak(tmp_path, config=config, **flags)
    assert (soaked.hash, soaked.summary["records"], soaked.summary["lost"]) == (truth, COUNT, 0)
    assert "a write to a topic that is not VIOLET's, and to 'scans', which it reads" in " ".join(soaked.err.split())
    scans = soaked.summary["decisions"] + soaked.summary["evaluations"]
    assert soaked.summary["taps"]["acb"] == {"sent": scans, "dropped": 0}
    verified = violet("verify", "--config", config, "--data", tmp_path, "--json").json
    assert (verified["recomputed_from"], verified["content_hash"]) == ("log", truth)
    tap = violet("tap", "acb", "--topic", f"violet.{name}.lanes.acb", "--config", config, "--limit", "3", "--json")
    assert len(tap.out.splitlines()) == 3, tap.err
    assert_nothing_secret(soaked.err + json.dumps(soaked.summary) + tap.err, tmp_path)


@pytest.mark.parametrize("protocol", ["scram", "mtls"])
def test_the_lanes_as_workers(cluster, published, truth, tmp_path, spawn, protocol):
    config, name = cluster.config(protocol, f"faust-{protocol}.toml"), f"secured-faust-{protocol}"
    flags = ["--topic", "scans", "--until", str(COUNT), "--name", name, "--data", tmp_path, "--json"]
    soak = spawn("soak", "--config", config, *flags, "--topology", "faust", "--lane-workers", "2")
    shown = set()
    until(lambda: shown.update(command_lines()) or soak.poll() is not None, 150)
    out, err = soak.communicate(10)
    summary = json.loads(out or err)
    assert (summary["content_hash"], summary["lost"]) == (truth, 0)
    assert any("reactor.topology.worker" in line for line in shown)
    assert not any(PASSWORD in line for line in shown)
    assert_nothing_secret(json.dumps(summary), tmp_path)


def test_no_secret_passes_in_clear(cluster, published):
    assert len(cluster.wire.seen) > 10_000
    assert set(cluster.wire.begins) == {b"\x16"}  # each connection begins with a TLS handshake
    assert PASSWORD.encode() not in cluster.wire.seen


def test_a_soak_of_a_topic_that_may_not_be_read(cluster, tmp_path):
    cluster.broker.create_topic("denied")
    words = ["user 'shadow' may not read topic 'denied'", "allows READ"]
    named(cluster.config("scram"), "denied", tmp_path, words, ["soak"])
    cluster.allow("denied", "DESCRIBE")
    named(cluster.config("scram"), "denied", tmp_path, words, ["soak"])


def test_publishing_where_writing_is_denied(cluster, archive):
    cluster.broker.create_topic("read-only")
    cluster.allow("read-only", "READ", "DESCRIBE")
    said = violet("publish", "--scans", archive, "--topic", "read-only", "--config", cluster.config("scram"))
    assert said.code == 3
    assert "user 'shadow' may not write to topic 'read-only'" in said.err
    assert "Traceback" not in said.err


def test_a_topic_that_is_there_needs_no_right_to_create(cluster, archive):
    cluster.broker.create_topic("made-by-hand")
    cluster.allow("made-by-hand", "READ", "WRITE", "DESCRIBE")
    said = violet(
        "publish", "--scans", archive, "--topic", "made-by-hand", "--config", cluster.config("scram"), "--json"
    )
    assert said.json["published"] == COUNT
    said = violet("publish", "--scans", archive, "--topic", "not-there", "--config", cluster.config("scram"))
    assert (said.code, "may not create topic 'not-there'" in said.err, "CREATE" in said.err) == (3, True, True)


def test_the_acls_of_deploy_are_enough_and_no_more(cluster, archive, truth, tmp_path):
    """The feed fills the topic; the soak reads it, has its taps, and may do neither more nor elsewhere."""
    cluster.broker.create_topic("by-script")
    cluster.by_script("by-script", "script")
    feed, shadow = (cluster.config("scram", f"script-{who}.toml", sasl_username=who) for who in ("feed", "shadow"))
    assert (
        violet("publish", "--scans", archive, "--topic", "by-script", "--config", feed, "--json").json["lines"] == COUNT
    )
    flags = {"topic": "by-script", "until": str(COUNT), "name": "script", "taps": "acb"}
    soaked = soaking.soak(tmp_path, config=shadow, **flags)
    assert (soaked.hash, soaked.summary["orders"]) == (truth, 0)
    assert soaked.summary["taps"]["acb"]["dropped"] == 0
    assert "denies user 'shadow' a write to a topic that is not VIOLET's, and to 'by-script'" in " ".join(
        soaked.err.split()
    )
    assert violet("verify", "--config", shadow, "--data", tmp_path, "--json").json["content_hash"] == truth
    longer = tmp_path / "longer.jsonl"
    longer.write_text(archive.read_text() + records.scan(9_999).decode() + "\n")
    refused = violet("publish", "--scans", longer, "--topic", "by-script", "--config", shadow)
    assert (refused.code, "may not write to topic 'by-script'" in refused.err) == (3, True)
    other = violet("publish", "--scans", archive, "--topic", "readable-not", "--config", feed)
    assert (other.code, "may not create topic" in other.err) == (3, True)


def test_who_may_write_to_what_it_reads_is_not_proved_dark(cluster, archive, tmp_path):
    cluster.broker.create_topic("wide")
    cluster.allow("wide", "READ", "WRITE", "DESCRIBE")
    shadow = cluster.config("scram", "wide.toml")
    found = doctor(shadow, "wide", tmp_path)["darkness"]["found"]
    assert "not proved: user 'shadow' may write to 'wide', which it reads; fix: " in found
    soaked = soaking.soak(tmp_path / "data", config=shadow, topic="wide", until="end", name="secured-wide")
    assert "darkness: not proved: user 'shadow' may write to 'wide'" in " ".join(soaked.err.split())


def test_doctor_proves_darkness_by_a_denied_write(cluster, published, tmp_path):
    rows = doctor(cluster.config("scram"), "scans", tmp_path)
    assert "proved: the broker denies user 'shadow' a write" in rows["darkness"]["found"]
    assert rows["topic"]["found"].startswith("scans: 1 partition(s), up to offset 300")
    everyone = tmp_path / "everyone.toml"
    everyone.write_text(f'[kafka]\nbootstrap_servers = "{cluster.at("PLAINTEXT")}"\n')  # who is its super user
    assert (
        "not proved: the broker does not deny an anonymous client"
        in doctor(everyone, "scans", tmp_path)["darkness"]["found"]
    )
    assert not [topic for topic in cluster.admin().list_topics(timeout=10).topics if "darkness" in topic]


@pytest.fixture(scope="module")
def wrong(cluster, tmp_path_factory):
    """Configs with one thing wrong each, and what the refusal says."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "password").write_text("another")
    other = Authority(folder, "other")
    stranger = other.sign("stranger")
    return {
        "password": (
            cluster.config("scram", "1.toml", sasl_password_file=folder / "password"),
            ["refuses user 'shadow': wrong user or password", "sasl_password_file"],
        ),
        "token": (
            cluster.config("scram", "2.toml", 'librdkafka = { "enable.sasl.oauthbearer.unsecure.jwt" = true }',
                           sasl_mechanism="OAUTHBEARER", sasl_username=None, sasl_password_file=None),
            ["no token for the login OAUTHBEARER"],
        ),
        "unknown CA": (cluster.config("scram", "3.toml", ssl_ca=other.certificate), ["of an unknown CA", "kafka.ssl_ca"]),
        "no client certificate": (
            cluster.config("mtls", "4.toml", ssl_certificate=None, ssl_key=None),
            ["refuses this client's certificate"],
        ),
        "a stranger's certificate": (
            cluster.config("mtls", "5.toml", ssl_certificate=stranger[0], ssl_key=stranger[1]),
            ["refuses this client's certificate"],
        ),
        "host name": (
            cluster.config("scram", "6.toml", bootstrap_servers="no-such-host.invalid:9092"),
            ["no name service knows the host 'no-such-host.invalid'"],
        ),
        "no TLS": (
            cluster.config("mtls", "7.toml", security_protocol="PLAINTEXT", ssl_ca=None, ssl_certificate=None, ssl_key=None),
            ["speaks TLS, this client does not", "kafka.security_protocol"],
        ),
        "no login": (
            cluster.config("mtls", "8.toml", bootstrap_servers=cluster.at("SASL"), ssl_certificate=None, ssl_key=None),
            ["to a client without a login", "sasl_mechanism"],
        ),
        "TLS to a plain listener": (
            cluster.config("scram", "9.toml", bootstrap_servers=cluster.at("PLAINTEXT")), ["does not speak TLS"],
        ),
    }  # fmt: skip


CASES = (
    "password", "token", "unknown CA", "no client certificate", "a stranger's certificate", "host name", "no TLS",
    "no login", "TLS to a plain listener",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named(wrong, tmp_path, case):
    config, words = wrong[case]
    named(config, "scans", tmp_path, words)
    began = time.monotonic()
    found = doctor(config, "scans", tmp_path)["broker"]
    assert time.monotonic() - began < NAMED_S + 5.0  # doctor also starts the embedded broker
    assert found["ok"] is False
    assert all(word in found["found"] for word in words)


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"expired": True}, "has expired"), ({"names": "DNS:kafka.example"}, "is for another host")],
    ids=["expired", "another name"],
)
def test_a_certificate_that_does_not_hold(tmp_path, changed, words):
    with brokers.or_skip(), secured(tmp_path / "kafka", **changed) as made:
        named(made.config("scram"), "scans", tmp_path / "data", [words])


def test_an_advertised_address_that_nobody_knows(tmp_path):
    with brokers.or_skip(), secured(tmp_path / "kafka", advertised="kafka.invalid") as made:
        named(made.config("scram"), "scans", tmp_path / "data", ["sends its clients to kafka.invalid", "advertised"])


def named(
    config: Path, topic: str, data: Path, words: list[str], commands: Sequence[str] = ("soak", "publish")
) -> None:
    """A soak and a publisher refuse within 10 s, in one line that says these words and no secret."""
    archive = data.with_name(f"{data.name}.jsonl")
    records.write(archive, records.plain(10))
    asked = {
        "soak": ["--topic", topic, "--data", data / "never"],
        "publish": ["--topic", topic, "--scans", archive],
    }
    for command in commands:
        began = time.monotonic()
        said = violet(command, "--config", config, *asked[command])
        assert time.monotonic() - began < NAMED_S, (command, said.err)
        assert said.code == 3
        assert len(said.err.strip().splitlines()) == 1, said.err
        assert all(word in said.err for word in words), said.err
        assert PASSWORD not in said.err
    assert not (data / "never").exists()


def doctor(config: Path, topic: str, data: Path) -> dict[str, dict[str, object]]:
    rows = violet("doctor", "--config", config, "--topic", topic, "--data", data / "none", "--json").json
    return {row["check"]: row for row in rows}


def assert_nothing_secret(shown: str, data: Path) -> None:
    """The password is neither in what was shown nor in any file of the data directory."""
    assert PASSWORD not in shown
    for path in data.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path


def command_lines() -> list[str]:
    """Those of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found
