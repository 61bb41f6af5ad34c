"""The accelerated month: 30 days of 1-minute scans on a topic, restarts, upgrades, a gap, a silent scanner, retention.

Weeks of a soak in minutes: each session reads its share of the days in batches as small as a live soak's, and is stopped
or killed. At the end the journal must be that of a soak which nothing ever happened to.
"""

import signal
import subprocess
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from confluent_kafka import TopicPartition

from journal.engine.address import WRITER, read
from journal.judge.day import close, disk_bytes
from journal.keep import backup
from journal.keep.migrate import scripts
from journal.ledger.run import find, now
from reactor.standin.seeded import lines
from tests.fault.crash import completed
from tests.integration import records
from tests.integration.soaking import (
    COUNTS,
    Journal,
    Topic,
    another_version,
    ended,
    fresh,
    produce,
    soak,
    stand_still,
    until,
)

SEED = 20261121
DAY = 1_440
NEXT = f"{len(scripts()) + 1:04d}__runs__grow.sql"
MIGRATION = {NEXT: "-- A column more.\nALTER TABLE violet_runs ADD COLUMN IF NOT EXISTS remark String DEFAULT '';\n"}
TABLES = ("batches", "decisions", "evaluations", "planes", "rejects", "incidents", "pruned")


@dataclass
class Month:
    """A soak in sessions, and what it took at the end of each."""

    journal: Journal
    topic: Topic
    flags: list
    env: dict = field(default_factory=dict)
    produced: list = field(default_factory=list)
    taken: list = field(default_factory=list)
    process: subprocess.Popen | None = None

    def command(self, *more):
        return ["soak", *self.flags, "--name", "month", "--json", *more]

    def feed(self, share):
        produce(self.topic.broker.bootstrap, self.topic.name, share)
        self.produced += share

    def refused(self, words):
        """The soak does not start; why is said, and the journal stays as it is."""
        before = self.journal.rows("SELECT * FROM violet_runs ORDER BY revision")
        said = ended(fresh(*self.command(), env=self.env))
        assert (said.code, words in " ".join(said.err.split())) == (3, True), said.err
        assert self.journal.rows("SELECT * FROM violet_runs ORDER BY revision") == before

    def session(self, number, *more, to=None):
        """Read up to an offset, or a little into what is there and be killed."""
        process = self.process = fresh(*self.command(*more), env=self.env)
        goal = len(self.produced) - 1 if to is None else to
        until(lambda: process.poll() is not None or self.last() >= goal, 120, 0.1)
        assert process.poll() is None, ended(process).err
        self.taken.append({
            "session": number, "offset": self.last(), "soak_mib": rss_mib(process.pid), "engine_mib": rss_mib(engine(self.journal)),
            "soak_files": files(process.pid), "engine_files": files(engine(self.journal)),
            "parts": self.journal.value("SELECT count() FROM system.parts WHERE active AND table LIKE 'violet%'"),
            "disk_kib": disk_bytes(self.journal.store) // 1024,
        })  # fmt: skip
        process.send_signal(signal.SIGINT if to is None else signal.SIGKILL)
        said = ended(process)
        assert said.code == (2 if to is None else -signal.SIGKILL), said.err

    def last(self):
        """The last completed offset, -1 for none."""
        if self.journal.value("SELECT count() FROM system.tables WHERE name IN ('violet_runs', 'violet_batches')") < 2:
            return -1  # the first session has not made the tables yet
        sql = "SELECT if(count() = 0, -1, max(last_offset)) FROM violet_batches WHERE phase = 'COMPLETE' AND run_id IN (SELECT run_id FROM violet_runs WHERE name = 'month')"
        return self.journal.value(sql)

    def trim(self, before):
        """The broker's own retention: offsets before this one are gone."""
        admin = self.topic.broker.admin()
        at = TopicPartition(self.topic.name, 0, before)
        admin.delete_records([at])[TopicPartition(self.topic.name, 0)].result(10)


def rss_mib(pid):
    return (
        int(
            next(
                each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS")
            ).split()[1]
        )
        // 1024
    )


def files(pid):
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def engine(journal):
    return journal._engine.pid


def shares(scans, sessions):
    """The market's lines in as many shares as sessions."""
    market = list(lines(SEED, scans))
    size = -(-len(market) // sessions)
    return [market[n : n + size] for n in range(0, len(market), size)]


@pytest.mark.parametrize(
    ("days", "sessions", "batch", "keep"),
    [
        pytest.param(2, 5, 50, "1s", id="two-days", marks=[pytest.mark.slow, pytest.mark.timeout(400)]),
        pytest.param(30, 31, 50, "20s", id="month", marks=[pytest.mark.slow, pytest.mark.timeout(1500)]),
    ],
)
def test_weeks_of_restarts_upgrades_gaps_and_silence_leave_the_journal_of_a_calm_soak(
    kafka, tmp_path, capsys, days, sessions, batch, keep
):
    began = time.monotonic()
    data = tmp_path / "data"
    journal = Journal(data)
    stand_still(data)
    topic = Topic(kafka, kafka.create_topic(), 0)
    month = Month(journal, topic, ["--bootstrap-servers", kafka.bootstrap, "--topic", topic.name, "--data", data,
                                   "--flush-ms", 200, "--batch-size", batch, "--keep-inputs", keep])  # fmt: skip
    market = shares(days * DAY, sessions)
    upgrade, gap, silent, grown = (
        (sessions // 4 or 1),
        sessions // 2,
        sessions // 2 + 1,
        sessions * 3 // 4 + (sessions < 8),
    )
    opened, missing, versions = [{"segment": 1, "first_offset": 0, "cause": "start"}], None, 1
    try:
        for number, whole in enumerate(market):
            quarter = len(whole) // 4  # the scanner is dead for half of one share's time
            share = whole[:quarter] + whole[-quarter:] if number == silent else whole
            more, at = [], month.last() + 1
            month.feed(share)
            if number in (upgrade, grown):
                versions += 1
                month.env = another_version(tmp_path / f"version{versions}", MIGRATION if number == grown else None)
                month.refused("went on with another code (")
                more = ["--new-segment"]
                opened.append({"segment": len(opened) + 1, "first_offset": at, "cause": "code"})
            if number == gap:
                missing = (at, at + len(share) // 3)
                month.trim(missing[1])
                month.refused("the log lost offsets that the run wants next")
                more = ["--accept-gap"]
                opened.append(
                    {
                        "segment": len(opened) + 1,
                        "first_offset": missing[1],
                        "cause": f"gap before {missing[1]} in partition 0",
                    }
                )
            # Killed in the middle of every other share; before an upgrade or a gap it is stopped, so that its end is known.
            killed = number % 2 == 1 and number + 1 not in (upgrade, gap, grown, len(market))
            month.session(
                number, *more, to=max(at, missing[1] if number == gap else 0) + len(share) // 2 if killed else None
            )

        # What happened, in SQL.
        run = journal.run("month")
        rows = journal.rows(
            "SELECT segment, first_offset, cause FROM segments WHERE run_id = {run:String} ORDER BY segment",
            run=run.run_id,
        )
        assert [
            row | {"cause": "code" if row["cause"].startswith("code (") else row["cause"]} for row in rows
        ] == opened
        noted = {
            row["code"]: row
            for row in journal.rows(
                "SELECT code, sum(count) AS n, any(detail) AS detail FROM incidents WHERE run_id = {run:String} GROUP BY code",
                run=run.run_id,
            )
        }
        assert noted["GAP_ACCEPTED"]["detail"] == f"partition 0: offsets {missing[0]} to {missing[1] - 1}"
        assert (noted["RESUMED"]["n"], noted["SEGMENT_OPENED"]["n"]) == (len(market) - 1, 3)
        assert "HALTED" not in noted
        offsets = " UNION ALL ".join(
            f"SELECT log_offset FROM violet_{t} FINAL WHERE run_id = {{run:String}}"
            for t in ("decisions", "evaluations", "rejects")
        )
        assert (
            journal.value(
                f"SELECT countIf(log_offset >= {missing[0]} AND log_offset < {missing[1]}) FROM ({offsets})",
                run=run.run_id,
            )
            == 0
        )
        completed(journal.rows, run.run_id)  # no batch was written again

        # The judgment, by the newest version alone: the older one names the migration that it does not know.
        older = journal.violet("gate")
        assert (older.code, NEXT in older.err) == (3, True)
        assert [path.name[:11] for path in backup.backups(data)] == [f"before-{NEXT[:4]}"]
        assert ended(fresh("end", "--data", data, "--name", "month", env=month.env)).code == 0
        judged = ended(fresh("verify", "--data", data, "--json", env=month.env), 200).json
        assert (judged["lost"], judged["doubled"], judged["corrupt"], judged["verdict"]) == (0, 0, 0, "PASS")
        assert "behind what retention dropped" in judged["recomputed_from"]
        gate = ended(fresh("gate", "--data", data, "--json", env=month.env), 200).json
        time_of = {
            each["segment"]: {c["name"]: c for c in each["clauses"]}["time_coverage"] for each in gate["segments"]
        }
        dark = max(each["segment"] for each in opened if each["first_offset"] <= sum(map(len, market[:silent])))
        assert [number for number, clause in time_of.items() if clause["verdict"] != "PASS"] == [dark]
        assert judged["longest_silence_ms"] > days * 86_400_000 / sessions * 0.45

        # The same records at once, without a stop, an upgrade or retention, and without what the broker lost.
        delivered = month.produced[: missing[0]] + month.produced[missing[1] :]
        calm = soak(tmp_path / "calm", scans=records.write(tmp_path / "calm.jsonl", delivered))
        assert judged["content_hash"] == calm.hash
        assert {name: judged[name] for name in COUNTS} == calm.counts

        # Retention: what is old is gone, what is told of it is whole.
        (pruned,) = judged["pruned"]
        assert 0 < pruned["last_offset"] < len(month.produced)
        assert (
            journal.value("SELECT count() FROM violet_planes WHERE run_id = {run:String}", run=run.run_id)
            == judged["planes"] - pruned["planes"]
        )
        assert (
            journal.value(
                "SELECT sum(length(raw)) FROM violet_rejects WHERE run_id = {run:String} AND log_offset <= {at:Int64}",
                run=run.run_id,
                at=pruned["last_offset"],
            )
            == 0
        )

        # Nothing grows but outcomes.
        lines_of_days = close(journal.store, find(journal.store, run_id=run.run_id), now() + timedelta(days=1))
        assert sum(each.figures["records"] for each in lines_of_days) == judged["records"]
        third = len(month.taken) // 3
        early, late = month.taken[third : 2 * third], month.taken[2 * third :]
        for name in ("soak_mib", "engine_mib", "soak_files", "engine_files", "parts"):
            assert max(t[name] for t in late) <= 1.5 * max(t[name] for t in early) + 20, month.taken
        with capsys.disabled():
            print(f"\n{days} days, {len(month.produced)} records, {len(market) - 1} restarts in {time.monotonic() - began:.0f} s;"
                  f" {disk_bytes(journal.store) / days / 1024:.0f} KiB of journal a day")  # fmt: skip
            for each in month.taken[:: max(1, len(month.taken) // 6)]:
                print("  " + ", ".join(f"{name} {value}" for name, value in each.items()))
            by = "SELECT table, count() AS parts, sum(rows) AS n, sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND table LIKE 'violet%' GROUP BY table ORDER BY bytes DESC"
            for row in journal.rows(by):
                print(
                    f"  {row['table']:<22} {row['parts']:>4} parts {row['n']:>8} rows {row['bytes'] / 1024:>9.1f} KiB"
                )
            print("  " + str(lines_of_days[0]))
    finally:
        if month.process is not None and month.process.poll() is None:
            month.process.kill()
            month.process.communicate()
        journal.close()
    assert urlsplit(read(data, WRITER).url).port
