"""The report as one HTML file: what a manager reads first, then what an engineer asks. Pure: the collected report in.

The file asks nobody for anything: styles and drawings are in it, there is no script, and its policy forbids the rest.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from journal.blue.study import STUDIES
from journal.blue.trust import GRANTED
from journal.blue.verdict import INVALID
from journal.judge.gate import FAIL, HOLD, PASS
from journal.shown import as_json
from reactor.web.drawing import bars, instant, interval, lines, number, text

Report = Mapping[str, Any]
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_SAID: Final = {
    PASS: "VIOLET and BLUE size alike, within the limits of the contract.",
    FAIL: "VIOLET and BLUE do not size alike: a limit of the contract is broken.",
    HOLD: "It cannot be told yet whether VIOLET and BLUE size alike.",
    INVALID: "This comparison is not valid, so it shows no figure.",
}
_SOAK: Final = {
    PASS: "The soak is sound: every condition holds.",
    FAIL: "The soak is not sound: a condition is broken.",
    HOLD: "It cannot be told whether the soak is sound: a condition has too little to go by.",
}
_MEASURES: Final = {
    "unpaired": "trades without a decision", "trade_delta": "trades that one slot would have made and BLUE did not",
    "leverage": "mean gap of leverage",
    "notional": "mean gap of size, of capital", "state_machine": "differences of state or logic",
    "unclassified": "differences without a known cause",
    "unattributable": "pairs of which BLUE recorded too little",
}  # fmt: skip
_PLOTS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "margin": (("policy",), ("used_median", "used_p95")), "edge": (("dimension", "value"), ("pnl_avg_usd",)),
    "fraction": (("fraction",), ("used_median", "used_median_unhaircut")), "tail": (("vel_div",), ("share_above",)),
    "curve": (("boost",), ("max_abs_err",)),
}  # fmt: skip
_SHOWN: Final = 120  # characters of a value on the first screen
_LONG: Final = 40  # characters of a cell that may be broken anywhere
_IN_CAPTION: Final = ("run_id", "label", "population", "filter", "caveat")
_ELSEWHERE: Final = ("lanes", "buckets", "curve", "recovery", "conviction", "classes", "by_lane")
_WHAT: Final = {"conviction": "conviction (leverage)", "notional_fraction": "size, as a share of the capital"}


def report_page(report: Report) -> str:
    """The whole file."""
    parts = [_first(report), *(f'<section id="{name}">{body}</section>' for name, _, body in _sections(report))]
    title = f"VIOLET report: run {text(report['run']['run_id'])}"
    style = (files("reactor.web") / "static" / "report.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head>\n<body>{''.join(parts)}</body></html>\n"
    )


def not_proved(report: Report) -> list[str]:
    """What the report does not show, each in a sentence."""
    run, compared = report["run"], report["compare"]
    found = []
    if compared is None:
        found.append("Nothing is compared with BLUE here.")
    elif compared["label"] != "REAL":
        found.append("These are not BLUE's trades: a STAND-IN made them. It can never earn trust.")
    if run["standin_lanes"]:
        found.append(
            f"BLUE's own code is not here: {len(run['standin_lanes'])} lanes ({', '.join(run['standin_lanes'])}) use "
            "formulas of our own, so identity with BLUE cannot be shown."
        )
    if compared is not None and not compared["is_before"]:
        found.append(
            "The contract was made after the window opened: its limits may have been chosen after a look at it."
        )
    if compared is not None and not compared["is_over"]:
        found.append("The window is not over: this is the verdict so far.")
    for each in compared["measures"] if compared is not None else ():
        if each["verdict"] == HOLD:
            needed = each["needed"]
            more = "nobody knows how many pairs more" if needed is None else f"about {needed:,} pairs more are needed"
            found.append(f"{_named(each)}: {each['why'] or more}.")
    if compared is not None:
        found.append("That sizes agree says nothing of what is earned: no order was sent, and no fill is known.")
    if report["trust"]["status"] != GRANTED:
        found.append(f"Trust: {report['trust']['words']}.")
    return found


def _first(report: Report) -> str:
    """The first screen: verdict, what it rests on, what was found, what was not proved."""
    run, compared, window = report["run"], report["compare"], report["window"]
    verdict = run["verdict"] if compared is None else compared["verdict"]
    said = _SOAK[verdict] if compared is None else _SAID[verdict] + _within(compared)
    why = "" if verdict == PASS else f"<p>{_why(report)}</p>"
    stand_in = compared is not None and compared["label"] != "REAL"
    warning = "<strong>BLUE is a STAND-IN here: this tries the comparison, it does not prove BLUE.</strong>" * stand_in
    subject = "the soak alone" if compared is None else "beside BLUE"
    harm = ", ".join(f"{number(run[name])} {name}" for name in ("lost", "doubled", "corrupt"))
    granted = report["trust"]["status"] == GRANTED
    rests = [
        f"{number(window['scans'])} scans from {instant(window['first_ms'])} to {instant(window['last_ms'])} UTC",
        f"{number(run['decisions'])} decisions; records: {harm}; {number(run['orders'])} orders",
        f"the soak's own verdict: {text(run['verdict'])} ({text(run['verdict_basis'])})",
    ]  # fmt: skip
    if compared is not None:
        if verdict != INVALID:
            of = f"{number(compared['trades'])} trades ({text(compared['label'])})"
            rests.insert(1, f"{number(compared['pairs'])} pairs of {of}")
        kept = f"kept since {instant(compared['anchored_ms'])}"
        rests.append(f"the contract <code>{text(compared['contract_hash'][:16])}</code>, {kept}")
    rests += [f"trust: {text(report['trust']['words'])}"] * granted
    unproved = [text(each) for each in not_proved(report)]
    columns = "".join(
        f"<div><h3>{title}</h3><ul>{''.join(f'<li>{each}</li>' for each in of)}</ul></div>"
        for title, of in (("It rests on", rests), ("What was found", _found(report)), ("What was not proved", unproved))
    )
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in _sections(report))
    return (
        f"<h1>VIOLET report &middot; run {text(run['name'])} ({text(run['run_id'])}), {subject}</h1>"
        f'<div class="verdict {verdict}"><b>{verdict}</b><strong>{said}</strong>{warning}{why}</div>'
        f'<div class="cards">{columns}</div><nav>{links}</nav>'
    )


def _within(compared: Mapping[str, Any]) -> str:
    """What of the differences is not judged, in a sentence; nothing where there is none."""
    if compared["verdict"] == INVALID or not (late := compared["figures"]["noise_floor"]["delay"]["explained"]):
        return ""
    return f" {number(late)} pairs differ within the noise floor, as planes one scan late would make them: not judged."


def _why(report: Report) -> str:
    compared = report["compare"]
    if compared is None:
        names = [each["name"] for each in report["clauses"] if each["verdict"] == report["run"]["verdict"]]
    elif compared["verdict"] == INVALID:
        names = [each["name"] for each in compared["clauses"] if not each["holds"]]
    else:
        names = [_named(each) for each in compared["measures"] if each["verdict"] == compared["verdict"]]
    needed = [each["needed"] for each in compared["measures"]] if compared and compared["verdict"] == HOLD else []
    more = f". About {max(needed):,} pairs more are needed" if needed and None not in needed else ""
    return f"Because of: {text(', '.join(names))}{more}."


def _named(measure: Mapping[str, Any]) -> str:
    return _MEASURES.get(measure["name"], str(measure["name"]))


def _found(report: Report) -> list[str]:
    """The few figures that the verdict turns on."""
    compared = report["compare"]
    if compared is None:
        return [
            f"{_WHAT[row['what']]}: median {number(row['p50'])}, from {number(row['min'])} to {number(row['max'])}"
            for row in report["conviction"]
        ]
    if compared["verdict"] == INVALID:
        broken = [each for each in compared["clauses"] if not each["holds"]]
        return ["no figure; broken clauses:", *map(_breach, broken)]
    bits = sum(row["pairs"] for row in compared["statuses"]) - sum(row["n"] for row in compared["figures"]["classes"])
    found = [f"{number(bits)} of {number(compared['pairs'])} pairs have the same leverage, bit for bit"]
    found += [
        f"{text(_named(each))}: {number(each['figure'])}"
        + ("" if each["above"] == each["figure"] else f", of it {number(each['above'])} above the noise floor")
        + ("" if each["low"] is None else f", at most {number(each['high'])} (margin {number(each['margin'])})")
        for each in compared["measures"]
    ]
    found += [
        f"most frequent difference: {text(row['class'])} in {text(', '.join(row['class_where']) or 'no one place')}, "
        f"{number(row['n'])} pairs"
        for row in compared["figures"]["classes"][:1]
    ]
    return found


def _breach(clause: Mapping[str, Any]) -> str:
    sides = [
        f"{name} {_words(clause[name])[:_SHOWN]}"
        for name in ("agreed", "ours", "theirs")
        if clause.get(name) is not None
    ]
    return text(f"{clause['name']}: {', '.join(sides)}")


def _sections(report: Report) -> list[tuple[str, str, str]]:
    """Anchor, title and body of what follows the first screen."""
    compared = report["compare"]
    made: list[tuple[str, str, str]] = []
    if compared is not None and compared["verdict"] != INVALID:
        made += [
            ("measures", "Measures", _measures(compared)), ("why", "Why they differ", _differences(compared)),
            ("curves", "Curves", _curves(compared["figures"])), ("pairs", "Pairs", _pairs(compared["figures"])),
        ]  # fmt: skip
    if compared is not None:
        made.append(("contract", "Contract", _contract(compared)))
    made += [("soak", "Soak", _soak(report)), ("studies", "Studies", _studies(report))]
    return [(name, title, f"<h2>{title}</h2>{body}") for name, title, body in made]


def _measures(compared: Mapping[str, Any]) -> str:
    rows = [
        {"verdict": m["verdict"], "measure": _named(m), "pairs": m["n"], "figure": m["figure"],
         "above the noise floor": m["above"], "from": m["low"], "to": m["high"], "margin": m["margin"],
         "method": m["method"], "pairs still needed": m["needed"]}
        for m in compared["measures"]
    ]  # fmt: skip
    drawn = "".join(
        f"<p>{text(_named(m))}: the interval, and the margin that it must stay within "
        f"{interval(m['low'], m['high'], m['above'], m['margin'])}</p>"
        for m in compared["measures"] if m["low"] is not None
    )  # fmt: skip
    return (
        "<p>PASS: equivalent within the margin. FAIL: different. HOLD: go on. Only what lies above the noise floor is "
        "judged: differences that planes one scan late explain are within it. The unit is the pair; the error level "
        f"holds for all measures together, however often one looks.</p>{table(rows)}{drawn}"
    )


def _differences(compared: Mapping[str, Any]) -> str:
    figures = compared["figures"]
    sums = [row for row in compared["attribution"] if row["nominal"] or row["effective"]]
    drawn = "<p>No lane moved any pair.</p>"
    if sums:
        kinds = [(kind, [row[kind] for row in sums]) for kind in ("nominal", "effective")]
        drawn = (
            "<p>Sums over the pairs of ln(ours / theirs). Nominal: each lane's own ratio, and the clamp, which took "
            "part of it back. Effective: what the lane really moved, by Shapley's value through the fan-in.</p>"
        ) + bars([row["term"] for row in sums], kinds)
    return (
        f"{table(figures['classes'], 'Classes of differences, the most frequent first')}{drawn}"
        f"{table(compared['attribution'], 'Attribution: view blue_attribution_sums')}"
        f"{table(figures.get('by_lane', []), 'Lanes by vel_div; differs holds for all rows together')}"
        f"{table(compared['statuses'], 'Pairs by whether they can be attributed')}"
        f"{table(compared['largest'], 'The largest differences of leverage')}"
    )


def _curves(figures: Mapping[str, Any]) -> str:
    steps, spread = figures["curve"]["steps"], figures["conviction"]
    sides = [
        (side, [(row["vel_div_from"], row[f"{side}_median"]) for row in steps]) for side in ("journaled", "recorded")
    ]
    drawn = lines(sides, "vel_div", "median leverage")
    spreads = [(name, [(float(q), v) for q, v in each["quantiles"].items()]) for name, each in spread.items()]
    quantiles = lines([each for each in spreads if each[1]], "share of sizes at or below", "leverage")
    fit = {name: figures["curve"][name] for name in ("n", "pearson", "max_abs_err")}
    return (
        f"<h3>Median leverage by vel_div</h3>{drawn}{table([fit])}<h3>Distribution of leverage</h3>{quantiles}"
        f"{table(figures['lanes'], 'Each lane, where BLUE recorded it')}"
        f"{table(figures['buckets'], 'By vel_div and dc_status')}"
        f"{table(figures['recovery'], 'Haircuts that the sizes imply')}"
    )


def _pairs(figures: Mapping[str, Any]) -> str:
    """Every figure that no other section shows."""
    return "".join(part for name, value in figures.items() if name not in _ELSEWHERE for part in _tables(name, value))


def _tables(name: str, value: Any) -> Iterator[str]:
    """A figure as tables: rows as they are, an object as one row, and what lies in it as a table of its own."""
    if not isinstance(value, Mapping):
        yield table(value, name) if isinstance(value, list) else table([{name: value}])
        return
    if flat := {key: each for key, each in value.items() if not isinstance(each, Mapping)}:
        yield table([flat], name)
    for key, each in value.items():
        if isinstance(each, Mapping):
            yield table([{key: of, "value": inner} for of, inner in each.items()], f"{name}: {key}")


def _contract(compared: Mapping[str, Any]) -> str:
    rows = [
        {"verdict": PASS if each["holds"] else FAIL, "clause": each["name"], "agreed": _words(each.get("agreed")),
         "ours": _words(each.get("ours")), "theirs": _words(each.get("theirs"))}
        for each in sorted(compared["clauses"], key=lambda each: each["holds"])
    ]  # fmt: skip
    return (
        f"<p>Document <code>{text(compared['contract_hash'])}</code>, window {instant(compared['from_ms'])} to "
        f"{instant(compared['to_ms'])} UTC. Comparison <code>{text(compared['compare_id'])}</code>.</p>"
        f"{table(rows, 'Clauses, checked on both sides before any figure')}"
        f"<h3>The document</h3><pre>{text(compared['document'])}</pre>"
    )


def _words(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else as_json(value)


def _soak(report: Report) -> str:
    hours = [((row["from_ms"] - report["window"]["first_ms"]) / 3_600_000, row) for row in report["over_time"]]
    across = "hours from the first scan"
    drawn = lines([("decisions", [(hour, row["n"]) for hour, row in hours])], across, "decisions", 170)
    sizes = [("median leverage", [(hour, row["leverage_median"]) for hour, row in hours])]
    drawn += lines(sizes, across, "leverage", 170)
    rows = [
        {"verdict": c["verdict"], "segment": c["segment"], "clause": c["name"], "figure": c["figure"],
         "bound": c["bound"], "formula": c["formula"] + (" (by construction)" if c["by_construction"] else "")}
        for c in report["clauses"]
    ]  # fmt: skip
    run = report["run"]
    counts = ("records", "decisions", "evaluations", "planes", "rejects", "coverage", "time_coverage", "scan_gaps")
    names = ("run_id", "name", "profile", "state", "content_hash", "math_fingerprint")
    return (
        f"<p>Whether the soak itself is sound; it says nothing of BLUE.</p>{drawn}"
        f"{table([{name: run[name] for name in names}])}{table([{name: run[name] for name in counts}])}"
        f"{table(report['conviction'], 'Conviction')}{table(report['lanes'], 'How much each lane moves a decision')}"
        f"{table(report['bounds'], 'Which bound fixed the leverage')}{table(rows, 'Conditions of the gate')}"
    )


def _studies(report: Report) -> str:
    parts = ["<p>Figures without a verdict. Figures of two populations make no ratio.</p>"]
    for name, rows in report["studies"].items():
        parts.append(f"<h3>{text(name)}: {text(STUDIES[name].question)}</h3>")
        for of, group in groupby(rows, key=itemgetter("label", "population", "filter")):
            kept = [{key: value for key, value in row.items() if key not in _IN_CAPTION} for row in group]
            parts.append(_plot(name, kept) + table(kept, f"{of[1]}{f' ({of[0]})' if of[0] else ''}: {of[2]}"))
        parts.append(f"<p class='dim'>{text(STUDIES[name].caveat)}</p>" if rows else "<p class='dim'>No rows.</p>")
    return "".join(parts)


def _plot(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The figures of a study that its question is about, as bars."""
    if name not in _PLOTS:
        return ""
    by, figures = _PLOTS[name]
    kinds = [(figure, [row[figure] for row in rows]) for figure in figures]
    return bars(
        [" ".join(str(row[key]) for key in by) for row in rows],
        [kind for kind in kinds if any(value is not None for value in kind[1])],
    )


def table(rows: Sequence[Mapping[str, Any]], caption: str = "") -> str:
    """Rows as a table; a dash for what is not known."""
    if not rows:
        return f"<p class='dim'>{text(caption)}: none.</p>" if caption else "<p class='dim'>No rows.</p>"
    numeric = {name for name in rows[0] if any(_is_number(row[name]) for row in rows)}
    names = sorted(rows[0], key=lambda name: (name in numeric, name != "n" and name in numeric))  # words first, then n
    heads = {name: text(name).replace("_", "_<wbr>") for name in names}
    head = "".join(f"<th{' class=n' if name in numeric else ''}>{heads[name]}</th>" for name in names)
    body = "".join(f"<tr>{''.join(_cell(row[name], name in numeric) for name in names)}</tr>" for row in rows)
    title = f"<caption>{text(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any, is_numeric: bool) -> str:
    if is_numeric:
        return f"<td class=n>{number(value) if value is None or _is_number(value) else text(value)}</td>"
    if value is None or value in ("", [], ()):
        return "<td>&ndash;</td>"
    if value in (PASS, FAIL, HOLD, INVALID):
        return f"<td class={value}>{value}</td>"
    if isinstance(value, bool):
        return f"<td>{'yes' if value else 'no'}</td>"
    words = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"<td{' class=l' * (len(words) > _LONG)}>{text(words)}</td>"
