"""The page beside a soak: its address is told, and why it ended where nobody ended it."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from journal import child
from reactor.web import beside
from tests.integration.soaking import until

RUN = SimpleNamespace(name="violet", run_id="0" * 32)


@pytest.fixture
def started(tmp_path, monkeypatch):
    """The children that were started."""
    children, module = [], child.module

    def start(*arguments, **options):
        children.append(module(*arguments, **options))
        return children[-1]

    monkeypatch.setattr(child, "module", start)
    yield children
    for each in children:
        each.kill()


def test_its_address_is_told_and_so_is_a_death_that_nobody_asked_for(tmp_path, started):
    told = []
    end = beside.start(tmp_path, RUN, None, told.append)
    until(lambda: told)
    assert told[0].startswith("its page, for one browser: http://127.0.0.1:")
    assert f"/run/{RUN.run_id}?" in told[0]
    os.kill(started[0].pid, signal.SIGKILL)
    until(lambda: len(told) > 1)
    assert told[1] == "its page ended: exit code -9, and no word of why"
    end()
    assert len(told) == 2


def test_its_end_is_no_news_where_the_soak_ended_it(tmp_path, started):
    told = []
    end = beside.start(tmp_path, RUN, None, told.append)
    until(lambda: told)
    end()
    assert len(told) == 1
    assert not Path(f"/proc/{started[0].pid}").exists()


def test_a_page_that_cannot_start_is_named_with_its_last_words_and_started_once(tmp_path, started, monkeypatch):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "uvicorn.py").write_text("raise SystemExit('this uvicorn is broken')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    told = []
    end = beside.start(tmp_path, RUN, None, told.append)
    until(lambda: told)
    end()
    assert told == ["its page ended: this uvicorn is broken"]
    assert len(started) == 1
