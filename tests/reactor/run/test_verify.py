"""Verify: a broker that it opened is closed, whatever comes of the recomputation."""

from types import SimpleNamespace

import pytest

from journal.refusal import Refusal
from lanes.profile import PROFILES
from reactor.evaluate.state import State
from reactor.log.connection import plain
from reactor.run import verify as module
from reactor.run.verify import Records, Report

RUN = SimpleNamespace(is_retry=False,
    run_id="r", name="n", warm="EXACT", start={"0": 0}, replay_of=None,
    source={"kind": "broker", "cluster": "c", "topic": "t", "topic_id": "i"},
)  # fmt: skip
SCOPE = SimpleNamespace(dropped_ends={})
SEGMENT = SimpleNamespace(
    segment=1, topic="t", partition=0, first_offset=0, kernels={}, state="{}",
    params=PROFILES["blue_8b"].model_dump_json(),
)  # fmt: skip


class Broker:
    """A broker's topic as verify sees it."""

    def __init__(self, cluster="c", low=0):
        self.identity, self._low, self.closed = {"cluster": cluster, "topic_id": "i"}, low, 0

    def lows(self):
        return {0: self._low}

    def range(self, partition, first, end):
        raise Refusal("the broker went away")

    def close(self):
        self.closed += 1


@pytest.fixture
def broker(monkeypatch):
    """broker(...) is what every bootstrap address leads to."""

    def lead(made):
        monkeypatch.setattr(module, "BrokerSource", lambda *_: made)
        return made

    return lead


def test_a_recomputation_that_fails_closes_its_broker(broker, monkeypatch):
    there = broker(Broker())
    monkeypatch.setattr(module, "segments", lambda *_: [SEGMENT])
    monkeypatch.setattr(module, "spans", lambda *_: [(SEGMENT, 0, 9)])
    with pytest.raises(Refusal, match="the broker went away"):
        module._recompute(None, RUN, SCOPE, plain("h:1"), lambda n: None)
    assert there.closed == 1


def test_a_broker_of_another_cluster_is_refused_and_closed(broker):
    there = broker(Broker(cluster="another"))
    with pytest.raises(Refusal, match="not the cluster and topic that run r read"):
        module.records(None, RUN, plain("h:1"), whole=False)
    assert there.closed == 1


def test_a_broker_that_lost_the_first_records_is_closed_and_other_records_are_looked_for(broker):
    there = broker(Broker(low=5))
    with pytest.raises(Refusal, match="foreign kernels read whole records"):
        module.records(None, RUN, plain("h:1"), whole=True)
    assert there.closed == 1


def test_a_broker_that_has_them_all_stays_open_until_it_is_closed(broker):
    there = broker(Broker())
    found = module.records(None, RUN, plain("h:1"), whole=True)
    assert (found.words, found.stored, there.closed) == ("log", False, 0)
    found.close()
    assert there.closed == 1


def test_stored_inputs_have_nothing_to_close_and_begin_in_the_state_that_was_kept():
    kept = State()
    found = Records("stored", lambda *_: iter(()), {}, kept=lambda segment: kept)
    found.close()
    assert found.stored
    assert found.state(SEGMENT, "EXACT", None) is kept


def test_a_report_names_the_first_differences_and_counts_all():
    report = Report("log")
    for offset in range(50):
        report.differ(0, offset, "otherwise")
    assert (report.n_differing, len(report.differing), report.differing[-1]) == (
        50,
        20,
        "partition 0 offset 19: otherwise",
    )
