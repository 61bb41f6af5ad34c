"""`violet broker`: a broker in one line, that another command can fill, and of which nothing is left."""

import json
import os
import signal
import socket
import subprocess

import pytest

from reactor.log.tansu import free_port
from tests.integration import records
from tests.integration.soaking import ROOT, VIOLET


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_it_takes_topics_until_a_signal_and_leaves_nothing(violet, tmp_path, number):
    scans, folder = records.write(tmp_path / "a.jsonl", records.plain(20)), tmp_path / "tmp"
    folder.mkdir()
    broker = subprocess.Popen(
        [*VIOLET, "broker", "--port", "0", "--json"], env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        told = json.loads(broker.stdout.readline())
        assert told["storage"] == "memory"
        at = told["bootstrap_servers"]
        filled = violet("publish", "--scans", scans, "--bootstrap-servers", at, "--topic", "scans")
        assert filled.returncode == 0, filled.stderr
        taken = violet("broker", "--port", at.rpartition(":")[2])
        assert taken.returncode == 3
        assert "Address already in use; fix: name another" in taken.stderr
        broker.send_signal(number)
        assert broker.wait(10) == 0, broker.stderr.read()
    finally:
        broker.kill()
        broker.communicate()
    assert list(folder.iterdir()) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(at.rpartition(":")[2]))) != 0


def test_a_port_that_was_left_a_moment_ago_is_free(tmp_path):
    assert free_port(port := free_port()) == port
