"""Heal from a topic: several partitions, gaps that were accepted, a log that lost its first records."""

import pytest
from confluent_kafka import TopicPartition

from tests.integration import records
from tests.integration.fixtures import own_journal
from tests.integration.soaking import COUNTS, Topic, interrupted, produce, soak, violet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
journal = own_journal
OUTCOMES = ("decisions", "evaluations", "planes", "rejects")


def filled(broker, shares):
    """A topic with these lines in its partitions."""
    made = Topic(broker, broker.create_topic(partitions=len(shares)), sum(map(len, shares)))
    for partition, lines in enumerate(shares):
        produce(broker.bootstrap, made.name, lines, partition)
    return made


def trimmed(broker, made, partition, before):
    """What lies before an offset is dropped, as retention does it."""
    place, admin = TopicPartition(made.name, partition, before), broker.admin()
    admin.delete_records([place])[place].result(10)


def lose(journal, run_id, where, *tables):
    """Rows of a run are gone for good, batches by the offsets that they begin at."""
    for table in tables:
        place = where.replace("log_offset", "first_offset") if table == "batches" else where
        journal.store.command(
            f"ALTER TABLE violet_{table} DELETE WHERE run_id = '{run_id}' AND {place} SETTINGS mutations_sync = 2"
        )


def rows(journal, run_id):
    return {
        table: journal.rows(f"SELECT * FROM {table} WHERE run_id = {{run:String}} ORDER BY ALL", run=run_id)
        for table in OUTCOMES
    }


def heal(journal, broker):
    return violet("heal", "--data", journal.data, "--bootstrap-servers", broker.bootstrap, "--json")


def healed(journal, broker, soaked, before):
    """Whole again: the same rows, figures and hash; and once more there is nothing to do."""
    said = heal(journal, broker)
    assert (said.code, said.json["whole"]) == (0, True), said
    assert rows(journal, soaked.run_id) == before
    figures = journal.figures(soaked.run_id)
    assert figures["content_hash"] == soaked.hash
    assert {each: figures[each] for each in COUNTS} == soaked.counts
    again = heal(journal, broker)
    assert (again.code, again.json["runs"]) == (0, [])
    return said.json["runs"][0]


def shares():
    """Three partitions, each with streams of its own."""
    return [records.mixed(200, streams=(f"s{n}",), long=False) for n in range(3)]


@pytest.mark.parametrize(
    "lost", [("decisions",), ("evaluations", "planes", "rejects"), ("batches",), (*OUTCOMES, "batches")]
)
def test_what_is_gone_from_several_partitions_is_put_back(journal, session_tansu, lost):
    made = filled(session_tansu, shares())
    soaked = soak(journal.data, name=made.name, batch_size=40, **made.source | {"until": "200"})
    before = rows(journal, soaked.run_id)
    lose(journal, soaked.run_id, "partition IN (0, 2) AND log_offset BETWEEN 40 AND 119", *lost)
    found = healed(journal, session_tansu, soaked, before)
    assert found["source"] == "log"
    assert (found["batches"] > 0) == ("batches" in lost)


def test_what_came_behind_a_gap_that_was_accepted_is_put_back(journal, kafka):
    """The log lost its first records: what lies behind the gap begins with the state of its segment, or of a batch."""
    made = filled(kafka, [records.mixed(600, long=False)])
    left = interrupted(journal.data, 2, name=made.name, batch_size=50, **made.source)
    assert left.summary["records"] < 400
    trimmed(kafka, made, 0, 400)
    soaked = soak(journal.data, name=made.name, batch_size=50, accept_gap=True, **made.source)
    before = rows(journal, soaked.run_id)
    lose(journal, soaked.run_id, "log_offset BETWEEN 400 AND 499", *OUTCOMES)
    healed(journal, kafka, soaked, before)
    trimmed(kafka, made, 0, 470)  # the log goes on losing: from here on a batch's end is where it begins
    lose(journal, soaked.run_id, "log_offset >= 520", "decisions", "evaluations")
    healed(journal, kafka, soaked, before)


def test_a_partition_whose_first_records_are_lost_is_healed_beside_one_that_has_them(journal, kafka):
    made = filled(kafka, shares()[:2])
    left = interrupted(journal.data, 2, name=made.name, batch_size=40, **made.source | {"until": "200"})
    assert left.summary["records"] < 200
    trimmed(kafka, made, 1, 120)
    soaked = soak(journal.data, name=made.name, batch_size=40, accept_gap=True, **made.source | {"until": "200"})
    before = rows(journal, soaked.run_id)
    lose(journal, soaked.run_id, "log_offset BETWEEN 120 AND 199", *OUTCOMES)
    healed(journal, kafka, soaked, before)


def test_what_came_before_a_gap_cannot_be_put_back_and_is_named_and_the_rest_is(journal, kafka):
    """The last test of this journal, which stays as it is."""
    made = filled(kafka, [records.mixed(600, long=False)])
    left = interrupted(journal.data, 2, name=made.name, batch_size=50, **made.source)
    trimmed(kafka, made, 0, 400)
    soaked = soak(journal.data, name=made.name, batch_size=50, accept_gap=True, **made.source)
    before = rows(journal, soaked.run_id)
    lose(journal, soaked.run_id, f"log_offset < {left.summary['records']}", "planes")
    lose(journal, soaked.run_id, "log_offset >= 520", *OUTCOMES)
    said = heal(journal, kafka)
    assert said.code == 1
    (run,) = said.json["runs"]
    assert "the log lost what gives offsets 0 to 49" in run["why"]
    for table, there in rows(journal, soaked.run_id).items():
        behind = [row for row in before[table] if row["log_offset"] >= 520]
        assert [row for row in there if row["log_offset"] >= 520] == behind
