"""What must hold after any number of crashes, told from raw rows."""

import signal

from tests.integration.soaking import ended

OUTCOMES = ("decisions", "evaluations", "planes", "rejects")


def completed(rows, run_id):
    """Raw completion rows of a run: (partition, first, last) -> when it was written; each one there once."""
    sql = "SELECT partition, first_offset, last_offset, toString(written_at) AS at FROM violet_batches WHERE run_id = {run:String} AND phase = 'COMPLETE'"
    found = rows(sql, run=run_id)
    batches = {(row["partition"], row["first_offset"], row["last_offset"]): row["at"] for row in found}
    assert len(batches) == len(found), "a completed batch was written again"
    return batches


def whole(rows, run_id, count):
    """Every offset of a one-partition run of `count` records has exactly one outcome, in batches without a hole."""
    kinds = " UNION ALL ".join(
        f"SELECT log_offset, '{kind}' AS kind FROM violet_{kind} FINAL WHERE run_id = {{run:String}}"
        for kind in OUTCOMES
    )
    (row,) = rows(
        f"SELECT count() AS n, uniqExact(log_offset) AS offsets, min(log_offset) AS first, max(log_offset) AS last FROM ({kinds})",
        run=run_id,
    )
    assert row == {"n": count, "offsets": count, "first": 0, "last": count - 1}
    spans = sorted(completed(rows, run_id))
    assert [first for _, first, _ in spans] == [0, *(last + 1 for _, _, last in spans[:-1])]
    assert spans[-1][2] == count - 1


class Crashing:
    """A soak that is killed again and again, and gone on with by the same command."""

    def __init__(self, spawn, rows, command, name):
        """rows: asks the journal, or None where it cannot be asked between two kills."""
        self._spawn, self._rows, self._command, self._name = spawn, rows, [*command, "--name", name, "--json"], name
        self.run_id, self._complete, self.kills = None, {}, 0

    def kill(self, when, **killed):
        """Start it, kill it with when(process) or where `killed` says; False where it ended before."""
        process = self._spawn("soak", *self._command, **killed)
        when(process)
        said = ended(process)
        self.kills += said.code == -signal.SIGKILL
        assert said.code in (-signal.SIGKILL, 0, 2), said.err
        if self._rows:
            self.look()
        return said.code == -signal.SIGKILL

    def look(self):
        """The same run goes on, and what was complete stays as it is."""
        runs = self._rows("SELECT run_id FROM runs WHERE name = {name:String}", name=self._name)
        if runs:
            ((run_id,),) = [row.values() for row in runs]
            assert self.run_id in (None, run_id)
            self.run_id = run_id
            there = completed(self._rows, run_id)
            assert self._complete.items() <= there.items()
            self._complete = there

    def finish(self):
        """Run it to its end."""
        return ended(self._spawn("soak", *self._command), 110)
