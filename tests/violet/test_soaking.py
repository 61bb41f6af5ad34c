"""A soak and a replay in this process: their summaries are those of the commands, and a callback hears of every batch."""

import os
import signal
import threading
import uuid

import pytest

import violet
from tests.integration import records
from tests.integration.soaking import free_of


@pytest.fixture(scope="module")
def soaked(tmp_path_factory):
    """A folder with an archive and its soak, and what the callback heard."""
    home = tmp_path_factory.mktemp("face")
    scans = records.write(home / "scans.jsonl", records.every_plane() + records.plain(300))
    heard = []
    summary = violet.soak(
        scans, data=home / "data", name="s", batch_size=64, on_batch=lambda p: heard.append(p.records)
    )
    with violet.open(home / "data") as opened:
        yield scans, summary, heard, opened
    free_of(home / "data")


def test_the_callback_hears_of_every_batch(soaked):
    _, summary, heard, opened = soaked
    assert summary["state"] == "ENDED"
    assert heard == sorted(heard)
    assert len(heard) > 3
    assert heard[-1] == summary["records"] > 250
    (row,) = opened.runs("s").rows()
    assert (row["run_id"], row["decisions"]) == (summary["run_id"], summary["decisions"])
    assert summary["run_id"] in summary._repr_html_()


@pytest.mark.slow
def test_a_stopped_soak_goes_on_to_the_same_hash(soaked, tmp_path):
    scans, summary, _, _ = soaked
    seen = []
    told = {"data": tmp_path / "data", "name": "s", "batch_size": 64, "on_batch": seen.append}
    left = violet.soak(scans, stop=lambda: len(seen) >= 2, **told)
    assert left["state"] == "STOPPED"
    ended = violet.soak(scans, **told)
    assert (ended["run_id"], ended["state"]) == (left["run_id"], "ENDED")
    assert ended["content_hash"] == summary["content_hash"]
    free_of(tmp_path / "data")


@pytest.mark.slow
def test_an_interrupt_stops_it_and_the_next_one_is_the_callers(soaked, tmp_path):
    scans, _, _, _ = soaked
    before, heard = signal.getsignal(signal.SIGINT), []

    def interrupt(progress):
        heard.append(progress.records)
        if len(heard) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    left = violet.soak(scans, data=tmp_path / "data", name="s", batch_size=64, on_batch=interrupt)
    assert left["state"] == "STOPPED"
    assert signal.getsignal(signal.SIGINT) is before
    free_of(tmp_path / "data")


def test_a_replay_is_identical_or_says_in_what_it_differs(soaked):
    _, summary, _, opened = soaked
    same = opened.replay()
    assert (same["identical"], same["content_hash"]) == (True, summary["content_hash"])
    assert same["replay_of"] == summary["run_id"]
    other = opened.replay("s", set={"fanin.abs_max": 2.5, "acb.enabled": False}, name=uuid.uuid4().hex[:8])
    assert not other["identical"]
    assert {"cap", "leverage"} <= {*other["differing_columns"]}
    assert max(opened.decisions(other["run_id"]).arrow()["leverage"].to_pylist()) == 2.5
    assert "differs" in other._repr_html_()


def test_a_tap_gives_the_readings_of_the_journal(soaked):
    *_, opened = soaked
    told = opened.lane("acb", "s").rows()[-5:]
    found = list(opened.tap("acb", "s", last=5))
    assert [(each.scan_id, each.value) for each in found] == [(row["scan_id"], row["value"]) for row in told]
    assert found[0].inputs.keys() >= {"acb.boost"}
    assert [each.scan_id for each in opened.tap("acb", "s", last=5, follow=True)] == [each.scan_id for each in found]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"web": True}, "web: the command alone has it"),
        ({"nam": "x"}, "nam"),
        ({"scans": None}, "a soak reads an archive"),
    ],
)
def test_what_does_nothing_here_is_refused(soaked, options, words, tmp_path):
    with pytest.raises(violet.Refusal, match=words):
        violet.soak(**{"scans": soaked[0], "data": tmp_path / "data", **options})


@pytest.mark.slow
def test_a_soak_may_run_in_another_thread(soaked, tmp_path):
    found = []
    told = {"data": tmp_path / "data", "name": "s"}
    thread = threading.Thread(target=lambda: found.append(violet.soak(soaked[0], **told)), daemon=True)
    thread.start()
    thread.join(60)
    assert found[0]["content_hash"] == soaked[1]["content_hash"]
    free_of(tmp_path / "data")
