"""Access: the journal of a soak that is open, and what people ask of it.

Rows come through the read-only gate, as `violet sql` has them; what explains, replays or compares is what the commands
use. See docs/python.md.
"""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self

from journal import directory
from journal.blue import trust
from journal.judge import damage
from journal.judge.explain import explain
from journal.judge.gate import summary
from journal.keep import export, question
from journal.keep.opened import opened
from journal.keep.question import Answering
from journal.ledger import run as runs
from journal.ledger.naming import KNOWN, LATEST, SEVERAL, identify, over_several, scoped
from journal.ledger.run import LISTED
from journal.refusal import Refusal
from journal.store import Store
from reactor.run.settings import Settings, load
from violet.display import Explanation, Summary
from violet.rows import FORM, Rows

MAX_ROWS: Final = 10_000_000  # that a reader may ask for at once
EXPORT_S: Final = 600  # for a part of an export


def open_journal(data: str | PathLike[str] | None, config: str | PathLike[str] | None) -> "Journal":
    """See violet.open."""
    settings = load({"data": Path(data)} if data is not None else {}, Path(config) if config is not None else None)
    if settings.journal.address is None:
        directory.require_journal(settings.soak.data)
    return Journal(settings)


class Journal:
    """The journal of a soak. Its engine is found or started with the first question, and kept until `close`.

    Where nobody closes it, the engine ends by itself when this process is gone. It may be used in a `with`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._held = settings, ExitStack()
        self._answering: Answering | None = None

    @property
    def data(self) -> Path:
        """The data directory."""
        return self._settings.soak.data

    def close(self) -> None:
        """Let the engine go. The next question finds or starts one again."""
        self._answering = None
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"violet.open({str(self.data)!r})"

    def _repr_html_(self) -> str:
        return self.runs()._repr_html_()

    def runs(self, name: str | None = None) -> Rows:
        """The runs of the journal, the newest first, with what each journaled. name: of one soak alone."""
        return self._asked(lambda: iter([LISTED]), {"name": name or ""})

    def decisions(self, run: str = LATEST, *, columns: Sequence[str] = ()) -> Rows:
        """Every scan of a run on which BLUE would have traded, in the order of the log.

        Args:
            run: by id, prefix or name, or `latest`.
            columns: of the view `decisions`; all where none is named.
        """
        return self._outcomes("decisions", run, columns)

    def evaluations(self, run: str = LATEST, *, columns: Sequence[str] = ()) -> Rows:
        """Every other scan of a run; `reasons` says why it did not decide. Arguments as of `decisions`."""
        return self._outcomes("evaluations", run, columns)

    def scans(self, run: str = LATEST, *, columns: Sequence[str] = ()) -> Rows:
        """Every scan of a run once; `actuated` where it is a decision. Arguments as of `decisions`."""
        return self._outcomes("scans", run, columns)

    def planes(self, run: str = LATEST, *, columns: Sequence[str] = ()) -> Rows:
        """Every plane of a run. Arguments as of `decisions`."""
        return self._outcomes("planes", run, columns)

    def lane(self, lane: str, run: str = LATEST) -> Rows:
        """What a lane gave at every scan of a run: its value, and what explains it."""
        return self._asked(lambda: export.readings(lane, self._run_id(run), self._rows))

    def sql(
        self, query: str, *, run: str | None = None, max_rows: int = question.MAX_ROWS,
        timeout_s: int = question.TIMEOUT_S, **params: object,
    ) -> Rows:  # fmt: skip
        """A query in ClickHouse's SQL, read only. What is too large is an error, never cut short.

        Args:
            query: one statement; {run:String} stands for a run, {name:Type} for a param.
            run: by id, prefix or name; the latest where none is named.
            max_rows: of the answer.
            timeout_s: for the query, s.
            params: values by name.

        Raises:
            Refusal: the query is refused or fails, with ClickHouse's words. It is asked when the rows are.
        """

        def asks() -> Iterator[str]:
            self._warn(query)
            yield query

        bound = {name: str(value) for name, value in params.items()}
        return self._asked(asks, bound, run, max_rows, timeout_s)

    def saved(self, name: str, *, run: str | None = None) -> Rows:
        """A saved query by its name, as `violet sql --saved` lists them."""
        from journal.query import find

        return self.sql(find(name).sql, run=run)

    def summary(self, run: str = LATEST) -> Summary:
        """The verdict on a run, each condition and its figure: what `violet gate --json` gives."""
        with self._store() as store:
            found = runs.pick(store, run)
            return Summary(summary(store, found) | {"trust": trust.in_words(store, found)})

    def explain(
        self, what: int | str, run: str = LATEST, *, stream: str | None = None, partition: int | None = None
    ) -> Explanation:
        """How the outcome of one scan was computed, factor by factor.

        Args:
            what: a scan id, or "@OFFSET".
            run: by id, prefix or name, or `latest`.
            stream: needed where several streams have the scan id.
            partition: needed where several partitions have the offset.

        Raises:
            Refusal: there is none, or there are several.
        """
        with self._store() as store:
            found = runs.pick(store, run)
            rows = explain(store, found.run_id, str(what), stream, partition)
        if len(rows) > 1:
            places = ", ".join(f"{row['outcome']} at partition {row['partition']} @{row['log_offset']}" for row in rows)
            raise Refusal(f"{what}: {len(rows)} outcomes ({places}); fix: '@OFFSET' and partition=N")
        return Explanation({"run_id": found.run_id, **rows[0]})

    def _outcomes(self, view: str, run: str, columns: Sequence[str]) -> Rows:
        return self._asked(lambda: export.outcomes(view, self._run_id(run), columns, self._rows))

    def _asked(
        self, asks: Callable[[], Iterator[str]], params: Mapping[str, str] | None = None, run: str | None = None,
        max_rows: int = MAX_ROWS, timeout_s: int = EXPORT_S,
    ) -> Rows:  # fmt: skip
        """The answers to questions, one behind the other."""

        def answers() -> Iterator[bytes]:
            bound = dict(params or {}) | ({"run": self._run_id(run)} if run is not None else {})
            settings = question.asked(bound, FORM, max_rows, timeout_s)
            for text in asks():
                body, form = self._answer(text, settings, timeout_s + question.GRACE_S)
                if form != FORM:
                    raise Refusal(f"the query asks for FORMAT {form}; fix: leave FORMAT out")
                yield body

        return Rows(answers)

    def _answer(self, text: str, settings: dict[str, str], timeout_s: float) -> tuple[bytes, str]:
        if self._answering is None:
            told = question.answering(self.data, self._settings.journal.address, _warn)
            self._answering = self._held.enter_context(told)
        try:
            return self._answering(text, settings, timeout_s)
        except Refusal as refusal:
            words = str(refusal).replace("--max-rows", "max_rows").replace("--timeout", "timeout_s")
            raise Refusal(words) from None

    def _rows(self, text: str) -> list[dict[str, Any]]:
        settings = question.asked({}, max_rows=MAX_ROWS, timeout_s=EXPORT_S)
        return question.objects(json.loads(self._answer(text, settings, EXPORT_S + question.GRACE_S)[0]))

    def _run_id(self, run: str) -> str:
        return identify(self._rows(KNOWN), run)

    def _warn(self, query: str) -> None:
        """Warn of what an answer does not show: rows that are gone, rows of several runs."""
        if found := damage.in_words(self._rows(damage.PARTS)):
            _warn(f"the journal is damaged, so answers may lack rows: {damage.some(found)}")
        if not scoped(query):
            (several,) = self._rows(SEVERAL)
            if words := over_several(query, int(several["runs"]), several["tables"]):
                _warn(words.replace("--run", "run"))

    @contextmanager
    def _store(self) -> Iterator[Store]:
        with opened(self.data, self._settings.journal.address, _warn, reads=True) as store:
            yield store


def _warn(words: str) -> None:
    warnings.warn(words, stacklevel=2)
