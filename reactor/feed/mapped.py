"""Mapped source: one [[source]] of a mapping, compiled to a function from their row to ours; pure but for its counts.

A row that does not fit is a BadRow that says what was found and the fix. Null, empty, NaN and the words for no value
are no value; a field that is not there at all is a wrong path. See docs/design/feeds.md.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reactor.feed.convert import NO_VALUE, BadRow, Read, Row, has, is_empty, is_infinite, show, spelled, text, walk
from reactor.feed.symbol import Entries
from reactor.feed.table import PLAIN, Layout


class Getter(NamedTuple):
    """One mapped field: ours, the steps to theirs (none: a constant), whether each row must have it, how it is read.

    matches: which columns of a wide table it reads; is_single: it may read one entry of a map a row.
    """

    name: str
    paths: tuple[tuple[str, ...], ...]
    required: bool
    read: Read
    matches: Callable[[str], bool] | None = None
    is_single: bool = False


@dataclass(slots=True, kw_only=True)
class MappedSource:
    """One foreign source, compiled.

    `present` counts, for each mapped field, the rows that have it, empty or not; `found` those that have a value;
    `left_out` names the entries of maps that the last row lost.
    """

    name: str
    rank: int
    feeds: str
    file: str | None
    topic: str | None
    where: tuple[tuple[tuple[str, ...], frozenset[str]], ...]
    skip_without: tuple[tuple[str, ...], ...]
    group: bool
    getters: tuple[Getter, ...]
    words: frozenset[str] = NO_VALUE
    layout: Layout = PLAIN
    present: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def takes(self, row: Row) -> bool:
        """Whether `where` and `skip_without` let the row through."""
        wanted = all(text(walk(row, path)) in values for path, values in self.where)
        return wanted and not any(
            is_empty(value := walk(row, path), self.words) or is_infinite(value) for path in self.skip_without
        )

    def __call__(self, row: Row) -> Row | None:
        """Ours -> value, for the fields that the row has; None where the row's one entry of a map was left out.

        Raises:
            BadRow: a required field is absent or empty, or a value does not fit.
        """
        out: Row = {}
        self.left_out = []
        for getter in self.getters:
            try:
                value = getter.read(row)
            except BadRow as bad:
                raise BadRow(f"{getter.name}: {bad}") from None
            if type(value) is Entries:
                self._count(self.present, getter.name)
                self.left_out += [f"{getter.name}: {each}" for each in value.left_out]
                value = value.found if value.found or not (value.left_out or getter.required) else None
                if value is None and getter.required and getter.is_single:
                    return None
            if value is not None:
                out[getter.name] = value
                self._count(self.found, getter.name)
            elif getter.required:
                raise BadRow(f"{getter.name}: {self._lacks(row, getter)}")
            if value is not None or self.present.get(getter.name) or any(has(row, path) for path in getter.paths):
                self._count(self.present, getter.name)
        return out

    def unmapped(self, row: Row) -> list[str]:
        """Their fields that nothing of ours reads, as dotted paths."""
        used = {path for getter in self.getters for path in getter.paths}
        used |= {path for path, _ in self.where} | set(self.skip_without)
        wide = [getter.matches for getter in self.getters if getter.matches]
        rest = {name: value for name, value in row.items() if not any(matches(name) for matches in wide)}
        return [".".join(path) for path in _leaves(rest, (), used)]

    def never_found(self) -> list[str]:
        """Mapped fields that no row so far had, empty or not."""
        return [g.name for g in self.getters if g.paths and not self.present.get(g.name)]

    def never_filled(self) -> list[str]:
        """Mapped fields that rows so far had, and never with a value."""
        return [g.name for g in self.getters if self.present.get(g.name) and not self.found.get(g.name)]

    @staticmethod
    def _count(counts: dict[str, int], name: str) -> None:
        counts[name] = counts.get(name, 0) + 1

    def _lacks(self, row: Row, getter: Getter) -> str:
        """Why a row has no value for a field: null is not absent, and a name with a dot is no path."""
        if self.left_out:
            first = self.left_out[0].partition(": ")[2]
            return f"no entry has a value, {first}; fix: `skip_without` passes such rows over"
        absent = [path for path in getter.paths if not has(row, path)]
        there = (path for path in getter.paths if path not in absent)
        empty = next((p for p in there if (v := walk(row, p)) in ({}, []) or is_empty(v, self.words)), None)
        if empty is not None and not (getter.is_single and absent):
            value = walk(row, empty)
            said = "empty" if value in ("", {}, []) else show(value)
            fix = f"repair the row, or `skip_without = [{spelled(empty)}]` passes such rows over"
            return f"{'.'.join(empty)!r} is {said}; fix: {fix}"
        path = absent[0] if absent else getter.paths[0]
        dotted, leaves = ".".join(path), list(_leaves(row, (), set()))
        if len(path) > 1 and dotted in row:
            return f"{dotted!r} is one name, with a dot; fix: write its path as a list, [{dotted!r}]"
        if tables := [path for path in leaves if _is_table(walk(row, path))]:
            rows = spelled(tables[0])
            return f"the row has no {dotted!r}, but a list of rows in {rows}; fix: rows = {rows} in the [[source]]"
        names = [".".join(path) for path in leaves]
        return (
            f"the row has no {dotted!r}; it has {', '.join(names[:12])}{near(dotted, names)}; "
            "fix: correct the path, or `skip_without` passes such rows over"
        )


def near(name: Any, names: Iterable[str]) -> str:
    """The name that was meant, as words to put behind a message, or none.

    >>> near("clsoe", ["open", "close"])
    "; did you mean 'close'?"
    """
    there = {other.casefold(): other for other in names}
    found = difflib.get_close_matches(str(name).casefold(), there, 1, 0.5)
    return f"; did you mean {there[found[0]]!r}?" if found else ""


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict | list) for each in value)


def _leaves(node: Row, at: tuple[str, ...], used: set[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    for name, value in node.items():
        path = (*at, name)
        if path in used:
            continue
        if isinstance(value, dict) and value and any(u[: len(path)] == path for u in used):
            yield from _leaves(value, path, used)
        elif not any(u[: len(path)] == path for u in used):
            yield path
            if isinstance(value, dict) and not used:
                yield from _leaves(value, path, used)
