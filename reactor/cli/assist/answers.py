"""Answers: what an assistant may ask of a journal, each as what the command of the same name prints as JSON.

Each question opens the journal by its reader's login, whose gate and caps stand in the engine, and lets go of it: an
engine that was started for a question ends with it. See docs/assistants.md.
"""

import json
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import msgspec

from journal.blue import trust, verdict
from journal.engine.address import Address
from journal.engine.owner import reading
from journal.judge.explain import explain
from journal.judge.gate import basis, judge, with_verdict, worst
from journal.judge.health import health
from journal.keep import dictionary, question
from journal.keep.migrate import require
from journal.keep.scratch import readable
from journal.ledger import run as runs
from journal.ledger.claim import writers
from journal.ledger.naming import KNOWN, identify
from journal.query import find, saved
from journal.refusal import Refusal
from journal.shown import plain
from journal.store import Store, connect
from lanes.registry import BY_NAME
from reactor.tap.history import History

ROWS: Final = 1_000  # of an answer where nobody asks for more: an assistant reads all of it
LAST: Final = 20  # readings, and runs, likewise


class Answers:
    """What may be asked of one journal: of a data directory, or of a ClickHouse server."""

    def __init__(self, data: Path, server: Address | None = None) -> None:
        """server: the journal's, where the directory's is not asked."""
        self._data, self._server = data, server

    def runs(self, limit: int = LAST) -> Any:
        """List the newest runs with their verdicts. Other tools take a run by id, prefix, name, or `latest`."""
        _within("limit", limit, ROWS)
        with self._store() as store:
            return plain([with_verdict(store, row) for row in runs.listed(store)[:limit]])

    def tables(self, table: str | None = None) -> Any:
        """List the views and tables with what each answers; with `table`, its columns, their types and meanings."""
        with self._store() as store:
            found = dictionary.columns(store)
        if table is None:
            return [{"table": name, "answers": said} for name, said in {r["table"]: r["said"] for r in found}.items()]
        mine = [row for row in found if row["table"] == table]
        if not mine:
            raise Refusal(f"no view or table {table!r}; fix: `tables` without one lists them")
        return [{name: row[name] for name in ("column", "type", "comment")} for row in mine]

    def query(
        self, sql: str, run: str | None = None, parameters: dict[str, str] | None = None, max_rows: int = ROWS
    ) -> Any:
        """Run one read-only query in ClickHouse's SQL; `rows` are its rows, `warnings` what to know of them.

        {run:String} in the text is bound to `run`, or to the latest run; {name:Type} to parameters. Name a run in each
        query (WHERE run_id = {run:String}), or the rows of all runs come together. More than max_rows rows (100,000 at
        most), or more than 30 s, is an error and never cut short: add a LIMIT, or aggregate.
        """
        _within("max_rows", max_rows, question.MAX_ROWS)
        warnings: list[str] = []
        with question.answering(self._data, self._server, warnings.append) as answer:
            bound = dict(parameters or {})
            if run is not None:
                bound["run"] = identify(question.rows(answer, KNOWN), run)
            warnings += question.warnings(answer, sql)
            found, form = answer(sql, question.asked(bound, max_rows=max_rows), question.TIMEOUT_S + question.GRACE_S)
        if form != question.JSON:
            raise Refusal("a FORMAT in the query is not for this tool; fix: leave it out, the rows come as JSON")
        return {"rows": question.objects(json.loads(found)), "warnings": warnings}

    def saved_questions(self) -> Any:
        """List the saved questions: name, what each answers, its columns. Prefer one to a query of your own."""
        return [{"name": q.name, "question": q.question, "columns": q.columns} for q in saved().values()]

    def ask_saved(self, name: str, run: str | None = None, parameters: dict[str, str] | None = None) -> Any:
        """Answer a saved question by its name, for `run` or the latest run."""
        return self.query(find(name).sql, run, parameters, question.MAX_ROWS)

    def explain(self, what: str, run: str | None = None, stream: str | None = None) -> Any:
        """Show how the outcome of one scan was computed, factor by factor. what: a scan id such as 17, or @OFFSET."""
        with self._store() as store:
            of = runs.pick(store, run)
            return plain([{"run_id": of.run_id, **row} for row in explain(store, of.run_id, what, stream)])

    def tap(self, lane: str, run: str | None = None, last: int = LAST, stream: str | None = None) -> Any:
        """Show what one lane gave at the last scans, with its inputs. lane: base, dc, acb, ob or esof."""
        if lane not in BY_NAME:
            raise Refusal(f"no lane {lane!r}; fix: one of {', '.join(BY_NAME)}")
        _within("last", last, ROWS)
        with self._store() as store:
            history = History(store, runs.pick(store, run).run_id, lane, None, stream)
            pages = history.pages(history.last(last), history.ends())
            return msgspec.to_builtins(list(islice(chain.from_iterable(pages), last * len(history.partitions))))

    def status(self, run: str | None = None) -> Any:
        """Show where the newest run of each soak stands, or one run: HEALTHY, NOT SURE or FAILING, and why."""
        with self._store() as store:
            chosen = runs.newest(store) if run is None else [runs.pick(store, run)]
            found = writers(store, self._data, chosen)
            return plain([
                health(store, each, self._data, writer=found.get(each.name, ""), at=runs.now())
                | {"blue": trust.told(store, each)}
                for each in chosen
            ])  # fmt: skip

    def gate(self, run: str | None = None) -> Any:
        """Judge a run: PASS, FAIL or HOLD (not sure), with each condition, its figure and its bound."""
        with self._store() as store:
            of = runs.pick(store, run)
            judged, trusted = judge(store, of, None), trust.in_words(store, of)
        return plain({
            "run_id": of.run_id, "verdict": worst([each.verdict for each in judged]), "verdict_basis": basis(of),
            "trust": trusted, "segments": [asdict(each) for each in judged],
        })  # fmt: skip

    def compare(self, run: str | None = None) -> Any:
        """Show the comparisons of a run with BLUE that were made and kept, the newest first; it makes none."""
        with self._store() as store:
            of = runs.pick(store, run)
            kept = verdict.kept(store, of.run_id)
            return plain({"run_id": of.run_id, "trust": trust.in_words(store, of), "comparisons": kept})

    @contextmanager
    def _store(self) -> Generator[Store]:
        """The journal for one question, by the reader's login; of a server by that of its config."""
        with ExitStack() as stack:
            address = self._server
            if address is None:
                place = stack.enter_context(readable(self._data, lambda words: None))
                address = stack.enter_context(reading(place))
            store = stack.enter_context(connect(address))
            require(store)
            yield store


def _within(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise Refusal(f"{name}: must be from 1 to {most}, was {value}; fix: a number between")
