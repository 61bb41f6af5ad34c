"""Access: the journal of a soak that is open, and what people ask of it.

Rows come through the read-only gate, as `violet sql` has them; what explains, replays or compares is what the commands
use. See docs/python.md.
"""

import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from journal import directory
from journal.blue import trust
from journal.judge.explain import explain
from journal.judge.gate import summary
from journal.keep import export, question
from journal.keep.opened import hold, opened
from journal.keep.question import Answering
from journal.ledger import run as runs
from journal.ledger.naming import KNOWN, LATEST, identify
from journal.ledger.run import LISTED
from journal.refusal import Refusal
from journal.store import Store
from lanes.registry import BY_NAME
from reactor.run.settings import Settings, load
from violet.display import Compared, Explanation, Summary
from violet.rows import FORM, Rows

if TYPE_CHECKING:
    from reactor.tap.reading import Reading
    from violet.soaking import OnBatch

MAX_ROWS: Final = 10_000_000  # that a reader may ask for at once
EXPORT_S: Final = 600  # for a part of an export
FOLLOW_S: Final = 0.5
_OVER: Final = ("ENDED", "HALTED")


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
            for words in question.warnings(self._reader(), query):
                _warn(words.replace("--run", "run"))
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

    def tap(
        self, lane: str, run: str = LATEST, *, last: int = 20, where: str | None = None, stream: str | None = None,
        follow: bool = False,
    ) -> Iterator["Reading"]:  # fmt: skip
        """What a lane gave, with what it read of its planes: the last readings of each partition, by offset.

        Args:
            lane: its name.
            run: by id, prefix or name, or `latest`.
            last: so many of each partition.
            where: a condition on the columns of `lane_readings`, such as "value < 1".
            stream: of this one alone.
            follow: go on with what comes, until the run is over.
        """
        from reactor.tap.history import History

        if lane not in BY_NAME:
            raise Refusal(f"no lane {lane!r}; fix: name one of {', '.join(BY_NAME)}")
        with self._store() as store:
            run_id = runs.pick(store, run).run_id
            history = History(store, run_id, lane, where, stream)
            starts = history.last(last)
            while True:
                is_over = runs.pick(store, run_id).state in _OVER  # asked first: what it left is given
                ends = history.ends()
                for page in history.pages(starts, ends):
                    yield from page
                starts |= ends
                if is_over or not follow:
                    return
                time.sleep(FOLLOW_S)

    def replay(
        self, run: str = LATEST, *, set: Mapping[str, object] | None = None,  # noqa: A002 - as --set
        profile: str | None = None, name: str | None = None, new: bool = False,
        on_batch: "OnBatch | None" = None,
    ) -> Summary:  # fmt: skip
        """Evaluate a run's records once more, as another run of this journal, and compare every row.

        Args:
            run: by id, prefix or name, or `latest`.
            set: params, such as {"acb.enabled": False}.
            profile: to evaluate under; the run's own params where none is named.
            name: of the replay; by default that of the run and -replay.
            new: start another replay instead of resuming one that did not end.
            on_batch: called after every batch, as of violet.soak.

        Returns:
            The summary of the replay, with `identical`, `differing` and `differing_columns` (rows by column).

        Raises:
            Refusal: the records are not to be had, or a param or the name does not fit.
        """
        from violet.soaking import replay

        told = [f"{key}={json.dumps(value)}" for key, value in (set or {}).items()]
        asked = {"assignments": told, "profile": profile, "name": name, "new": new}
        return replay(self._settings, run, on_batch, **asked)

    def compare(self, contract: str | PathLike[str], run: str = LATEST) -> Compared:
        """Compare a run with BLUE under a contract: validity first, then each measure and a verdict.

        Args:
            contract: file of `violet contract new`.
            run: by id, prefix or name, or `latest`.

        Returns:
            What `violet compare --json` gives; of an invalid comparison no figure.

        Raises:
            Refusal: it is no contract, or the journal does not have it.
        """
        from journal.blue import anchor, verdict
        from journal.blue.contract import read
        from reactor.blue import comparison

        try:
            agreed = read(Path(contract).read_bytes(), str(contract))
        except FileNotFoundError:
            raise Refusal(f"contract {contract} is not there; fix: `violet contract new` writes one") from None
        server = self._settings.journal.address
        with opened(self.data, server, _warn) as store, ExitStack() as stack:
            anchor.require(store, agreed)
            found = runs.pick(store, run)
            lock = self.data / "locks" / "compare.lock"
            hold(store, self.data, server, "blue compare", lock, stack, _warn)
            made = comparison.compared(store, found, agreed)
            trusted = trust.standing(store, found.name, found.standins).words
        return Compared({**verdict.as_json(made), "trust": trusted})

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

    def _reader(self) -> Answering:
        if self._answering is None:
            told = question.answering(self.data, self._settings.journal.address, _warn)
            self._answering = self._held.enter_context(told)
        return self._answering

    def _answer(self, text: str, settings: dict[str, str], timeout_s: float) -> tuple[bytes, str]:
        try:
            return self._reader()(text, settings, timeout_s)
        except Refusal as refusal:
            words = str(refusal).replace("--max-rows", "max_rows").replace("--timeout", "timeout_s")
            raise Refusal(words) from None

    def _rows(self, text: str) -> list[dict[str, Any]]:
        settings = question.asked({}, max_rows=MAX_ROWS, timeout_s=EXPORT_S)
        return question.objects(json.loads(self._answer(text, settings, EXPORT_S + question.GRACE_S)[0]))

    def _run_id(self, run: str) -> str:
        return identify(self._rows(KNOWN), run)

    @contextmanager
    def _store(self) -> Iterator[Store]:
        with opened(self.data, self._settings.journal.address, _warn, reads=True) as store:
            yield store


def _warn(words: str) -> None:
    warnings.warn(words, stacklevel=2)
