"""violet sequence: foreign scan and plane feeds in, by a mapping file; the one ordered log out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from journal.refusal import Refusal
from reactor import mapping
from reactor.cli.common import engine, json_option, out, print_json
from reactor.convert import walk
from reactor.market import archive_writer, sequence, table
from reactor.market.bars import utc
from reactor.market.enrich import PARTS, Enricher
from reactor.record import MAX_BYTES

PROBE: Final = 10_000  # rows of a source that a dry run looks at
SHOWN: Final = 3  # records and bad rows of a source that it prints


@click.command("sequence")
@click.option("--config", required=True, type=click.Path(path_type=Path), help="Mapping file, TOML.")
@click.option("--out", "target", type=click.Path(path_type=Path), help="Archive: .jsonl or .jsonl.zst.")
@click.option("--enrich", default="", metavar="irp,dc", help="Compute from prices what scans lack; a stand-in.")
@click.option("--dry-run", is_flag=True, help="Print the first records of each source, and what is unmapped.")
@click.option("--set-aside", type=click.Path(path_type=Path), help="JSONL of the rows that do not fit; else refused.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@json_option
def command(
    *,
    config: Path,
    target: Path | None,
    enrich: str,
    dry_run: bool,
    set_aside: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    r"""Merge foreign scan and plane feeds into the one ordered log.

    By event time, then the source's place in the mapping, then the row's place in its source. Files are JSONL, CSV
    (both also .zst) or Parquet, named from the mapping file's folder. A row that does not fit is refused with its line
    and the fix, or kept in --set-aside.

    \b
    violet sequence --config map.toml --dry-run
    violet sequence --config map.toml --out scans.jsonl.zst
    """
    parts = _parts(enrich)
    sources = _sources(config)
    with ExitStack() as stack:
        rows = _rows(config.parent, sources, stack)
        if dry_run:
            code = _dry_run(sources, rows, as_json)
            click.get_current_context().exit(code)
        if target is None:
            raise Refusal("--out must name the archive; fix: --out scans.jsonl.zst, or --dry-run to look first")
        archive_writer.check_target(target, force=force)
        on_bad: Callable[[sequence.Bad], None] = _refuse
        if set_aside is not None:
            archive_writer.check_target(set_aside, force=force)
            on_bad = _keep(stack.enter_context(archive_writer.writing(set_aside)))
        sequencer, enricher = sequence.Sequencer(on_bad), Enricher(parts)
        with archive_writer.writing(target) as put:
            for line in sequence.log(sources, rows, sequencer, target.parent, enricher if parts else None):
                put(line)
    _report(target, sources, sequencer, enricher, as_json)


def _parts(enrich: str) -> frozenset[str]:
    parts = frozenset(filter(None, enrich.split(",")))
    if wrong := sorted(parts.difference(PARTS)):
        raise Refusal(f"--enrich must be of {', '.join(PARTS)}, was {wrong[0]!r}; fix: --enrich {','.join(PARTS)}")
    return parts


def _sources(config: Path) -> list[mapping.Source]:
    try:
        return mapping.parse(config.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"--config {config} cannot be read ({error}); fix: name a mapping file") from None


def _rows(folder: Path, sources: Sequence[mapping.Source], stack: ExitStack) -> sequence.Rows:
    """What reads a source's file, each checked for being there before any is read."""
    for source in sources:
        if source.file is None:
            raise Refusal(f"source {source.name!r} is a topic; fix: give --bootstrap-servers and --topic, or a file")
        if not (folder / source.file).is_file():
            raise Refusal(f"source {source.name!r}: {folder / source.file} is no file; fix: check the path")
    blocks = stack.enter_context(engine()) if any(source.format == "parquet" for source in sources) else None
    return lambda source: table.rows(folder / str(source.file), source.format, blocks)


def _refuse(bad: sequence.Bad) -> None:
    raise Refusal(f"source {bad.source!r} line {bad.line}: {bad.said}; --set-aside FILE would go on without such rows")


def _keep(put: Callable[[bytes], None]) -> Callable[[sequence.Bad], None]:
    def keep(bad: sequence.Bad) -> None:
        raw = bad.raw[:MAX_BYTES].decode("utf-8", "replace")
        put(archive_writer.encode({"source": bad.source, "line": bad.line, "said": bad.said, "raw": raw}))

    return keep


def _dry_run(sources: Sequence[mapping.Source], rows: sequence.Rows, as_json: bool) -> int:
    """Look at the first rows of each source; 3 where a row does not fit or a mapped field is nowhere."""
    bad: list[sequence.Bad] = []
    sequencer = sequence.Sequencer(bad.append)
    looks = []
    for source in sources:
        looked = list(islice(rows(source), PROBE))
        items = sorted(sequencer.items(source, looked))
        records = [msgspec.json.decode(item[3]) for item in islice(sequencer.grouped(source, items), SHOWN)]
        mapped = [row.fields for row in looked if not row.fault and source.takes(row.fields)]
        looks.append(
            {
                "source": source.name,
                "file": source.file,
                "feeds": source.feeds,
                **asdict(sequencer.tallies[source.name]),
                "whole": len(looked) < PROBE,
                "records_shown": records,
                "unmapped": {name: _sample(mapped, name) for name in _unmapped(source, mapped)},
                "never_found": source.never_found() if mapped else [],
                "bad": [{"line": b.line, "said": b.said} for b in bad if b.source == source.name][:SHOWN],
            }
        )
    notes = sequence.notes(sources, sequencer.tallies) if all(look["whole"] for look in looks) else []
    if as_json:
        print_json({"sources": looks, "notes": notes})
    else:
        for look in looks:
            out.print("\n".join(_look(look)), markup=False)
        for note in notes:
            out.print(f"NOTE: {note}", markup=False)
    return 3 if any(look["bad"] or look["never_found"] or not look["records"] for look in looks) else 0


def _unmapped(source: mapping.Source, rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows[:100] for name in source.unmapped(row)))


def _sample(rows: Sequence[dict[str, Any]], name: str) -> Any:
    found = (walk(row, (name,)) or walk(row, tuple(name.split("."))) for row in rows[:100])
    return next((value for value in found if value is not None), None)


def _look(look: dict[str, Any]) -> Iterator[str]:
    yield f"{look['source']}: {look['file']} feeds {look['feeds']}"
    over = f", {look['passed_over']} passed over" if look["passed_over"] else ""
    yield (
        f"  {look['rows']} rows looked at{'' if look['whole'] else ', not all'}: {look['records']} map, "
        f"{look['set_aside']} do not{over}"
    )
    for found in look["records_shown"]:
        yield f"  {utc(found['ts_ms'])}  {archive_writer.encode(found).decode()[:400]}"
    for name, sample in look["unmapped"].items():
        yield f"  unmapped: {name} (such as {str(sample)[:60]})"
    for name in look["never_found"]:
        yield f"  NOT FOUND: fields.{name}; no row has what it is mapped to; fix: correct the path, or drop the line"
    for row in look["bad"]:
        yield f"  line {row['line']}: {row['said']}"


def _report(
    target: Path,
    sources: Sequence[mapping.Source],
    sequencer: sequence.Sequencer,
    enricher: Enricher,
    as_json: bool,
) -> None:
    tallies = sequencer.tallies
    found = {
        "out": str(target),
        "records": sum(t.records for t in tallies.values()),
        "set_aside": sum(t.set_aside for t in tallies.values()),
        "enriched": {part: n for part, n in enricher.counts.items() if n},
        "sources": [{"source": s.name, "feeds": s.feeds, **asdict(tallies[s.name])} for s in sources],
        "notes": sequence.notes(sources, tallies),
    }
    if as_json:
        print_json(found)
        return
    for source in sources:
        t = tallies[source.name]
        out.print(
            f"{source.name}: {t.records} records of {t.rows} rows, {utc(t.first_ms)} to {utc(t.last_ms)}; "
            f"{t.passed_over} passed over, {t.set_aside} set aside, {t.backwards} out of order",
            markup=False,
        )
    for part, n in enricher.counts.items():
        if n:
            out.print(f"{part}: computed for {n} scans by the project's own stand-in, and marked so")
    for note in sequence.notes(sources, tallies):
        out.print(f"NOTE: {note}", markup=False)
    out.print(f"{target}: {found['records']} records", markup=False)
