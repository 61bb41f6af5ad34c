"""`violet demo`: it lasts as long as asked, moves every lane, and in a terminal its page stays until Ctrl-C."""

import os
import pty
import re
import signal
import subprocess
import time
import urllib.request
from http.cookiejar import CookieJar
from threading import Thread

import pytest

from lanes.registry import LANES
from reactor.cli.soak import MARKET
from reactor.standin.seeded import write_market
from tests.integration.soaking import ROOT, VIOLET, free_of, until

pytestmark = pytest.mark.slow
FIVE = [lane.name for lane in LANES]


def test_in_a_terminal_the_page_stays_until_ctrl_c(tmp_path):
    data, shown = tmp_path / "demo", bytearray()
    ours, theirs = pty.openpty()
    demo = subprocess.Popen(
        [*VIOLET, "demo", "--minutes", "0.15", "--data", data], env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)

    def listen():
        while True:
            try:
                shown.extend(os.read(ours, 65_536))
            except OSError:  # of a terminal that nobody writes to any more
                return

    listener = Thread(target=listen)
    listener.start()
    try:
        until(lambda: b"stays until Ctrl-C" in shown or demo.poll() is not None, 60)
        words = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", shown.decode())
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        url = re.search(r"http://127\.0\.0\.1:\S+", words)[0]
        assert browser.open(url, timeout=10).status == 200  # its server is there, though the soak is over
        assert b'"state":"ENDED"' in browser.open(url.partition("/run/")[0] + "/api/runs", timeout=30).read()
        demo.send_signal(signal.SIGINT)
        assert demo.wait(20) == 2  # a hold: so few decisions say nothing
    finally:
        demo.kill()
        demo.wait()
        listener.join(10)
        os.close(ours)
    free_of(data, within_s=1.0)
    asked = re.findall(r"^(?: +next)? +(\S.*) --data \S+$", words, re.MULTILINE)
    assert [re.search(r"(web|explain @\d+|sql --saved clamps)$", line)[1].split()[0] for line in asked] == [
        "web",
        "explain",
        "sql",
    ]


def test_it_lasts_as_long_as_asked_and_in_a_pipe_ends_by_itself(tmp_path):
    began = time.monotonic()
    done = subprocess.run(
        [*VIOLET, "demo", "--minutes", "0.2", "--data", tmp_path / "demo"], env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    took = time.monotonic() - began
    assert done.returncode == 2, done.stderr
    assert took > 11.0
    assert "sql --saved clamps --data" in done.stdout
    free_of(tmp_path / "demo", within_s=1.0)


def test_every_lane_and_every_bound_is_seen_in_the_first_minute(journal, tmp_path):
    write_market(tmp_path / "m.jsonl.zst", MARKET.seed, 600)
    run_id = journal.soak(scans=tmp_path / "m.jsonl.zst").run_id
    values = ", ".join(f"uniqExact({name}) AS {name}" for name in FIVE)
    (row,) = journal.rows(
        f"SELECT {values}, uniqExact(bound) AS bounds FROM decisions WHERE run_id = {{run:String}}", run=run_id
    )
    assert row.pop("bounds") == 5
    assert min(row.values()) >= 2, row
