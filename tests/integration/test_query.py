"""Saved queries: each answers what its head says, computed here from the archive's lines by the oracle, not by SQL."""

import json
import math
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from statistics import fmean, geometric_mean, median, median_low

import pytest

from journal import query
from journal.judge import canary
from tests.integration import records
from tests.integration.fixtures import own_journal
from tests.integration.soaking import ROOT, violet
from tests.oracle import Oracle, parse

pytestmark = pytest.mark.slow
journal = own_journal  # trades of BLUE are beside all of its runs

SPIKES = (-605.0, -0.07, -3.0, -0.3, -0.05, -20.0)
PLANES = ("acb", "meta", "mc", "ob", "esof", "posture", "capital")
POISON = (
    ["MALFORMED"] * 3
    + ["EMPTY", "SCHEMA_VERSION", "NON_FINITE", "KIND", "MISSING_FIELD", "WRONG_TYPE", "OUT_OF_RANGE", "BAD_NAME"]
    + ["PLANE_NAME", "PLANE_VALUE"]
)  # fmt: skip


def archive():
    """1,200 records of two streams with every outcome, then a long silence, spikes, and another silence."""
    lines = records.mixed(1_200, records.STREAMS, long=False)
    for stream in records.STREAMS:
        for n, vel_div in enumerate(SPIKES):
            at = records.START_MS + records.MINUTE_MS * (3_000 + n + (90 if n > 3 else 0))
            lines.append(records.scan(5_000 + n, stream=stream, ts_ms=at, vel_div=vel_div))
    return lines


class Known:
    """The run, and what the oracle makes of its lines."""

    def __init__(self, journal, run_id, lines):
        self.journal, self.run_id, self.lines = journal, run_id, lines
        oracle = Oracle()
        self.outcomes = [oracle.outcome(line) for line in lines]
        self.scans = [row | {"offset": at} for at, row in enumerate(self.outcomes) if isinstance(row, dict)]
        for row in self.scans:
            row["acb"] = row["acb_boost"] * row["meta_boost"] * row["mc_scale"]
            row["raw"] = row["base"] * row["dc"] * row["acb"] * row["ob"] * row["esof_fanin"]
        self.decisions = [row for row in self.scans if row["decided"]]

    def ask(self, name, *arguments):
        said = self.journal.violet("sql", "--saved", name, "--run", self.run_id, "--json", *arguments)
        assert said.code == 0, said.err
        return said.json


@pytest.fixture(scope="module")
def known(journal, tmp_path_factory):
    lines = archive()
    path = records.write(tmp_path_factory.mktemp("known") / "known.jsonl", lines)
    run_id = journal.soak(scans=path, name="known").run_id
    journal.soak(
        scans=records.write(path.with_name("other.jsonl"), records.plain(30)), name="other"
    )  # not the one asked for
    return Known(journal, run_id, lines)


def told(name):
    """A test of the answer of a saved query: it gives the rows that are right."""

    def wrap(expected):
        def test(known):
            rows = known.ask(name)
            assert rows, "a question without an answer proves nothing"
            same(rows, expected(known))

        return test

    return wrap


def same(rows, expected):
    assert len(rows) == len(expected)
    for row, right in zip(rows, expected, strict=True):
        assert list(row) == list(right)
        for column, value in right.items():
            got = row[column]
            assert got == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), (column, row, right)


def is_a(outcome, kind):
    return isinstance(outcome, tuple) and outcome[0] == kind


def groups(rows, key):
    found = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def quantile(values, q):
    """Linear between the two nearest, the ends included."""
    ordered = sorted(values)
    at = (len(ordered) - 1) * q
    low = math.floor(at)
    return ordered[low] + (at - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])


def iso(ts_ms):
    """As JSON has a time."""
    at = datetime.fromtimestamp(ts_ms // 1_000, UTC) + timedelta(milliseconds=ts_ms % 1_000)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ts_ms % 1_000:03}Z"


def bucket(vel_div):
    bounds = (
        (-0.03, "-0.02 to -0.03"),
        (-0.04, "-0.03 to -0.04"),
        (-0.05, "-0.04 to -0.05"),
        (-0.06, "-0.05 to -0.06"),
    )
    return next((name for bound, name in bounds if vel_div > bound), "-0.06 and below")


@told("by_strength")
def test_by_strength(known):
    by = groups(known.decisions, lambda row: min(10, math.floor(row["strength"] * 10)) / 10)
    return [
        {
            "strength_from": strength, "n": len(rows), "share": len(rows) / len(known.decisions),
            "vel_div_median": median(r["vel_div"] for r in rows), "leverage_min": min(r["leverage"] for r in rows),
            "leverage_median": median(r["leverage"] for r in rows), "leverage_max": max(r["leverage"] for r in rows),
            "notional_usd": math.fsum(r["notional_usd"] for r in rows),
        }
        for strength, rows in sorted(by.items())
    ]  # fmt: skip


@told("upward_tail")
def test_upward_tail(known):
    by = groups(known.decisions, lambda row: bucket(row["vel_div"]))
    assert len(by) == 5
    found = []
    for name, rows in [*sorted(by.items()), ("all", known.decisions)]:
        ratios = [row["leverage"] / row["base"] for row in rows]
        above = sum(ratio > 1.05 for ratio in ratios)
        found.append(
            {"vel_div": name, "n": len(rows), "above": above, "share_above": above / len(rows),
             "below": sum(ratio < 0.95 for ratio in ratios), "ratio_median": median(ratios), "ratio_max": max(ratios)}
        )  # fmt: skip
    return found


@told("clamps")
def test_clamps(known):
    by = groups(known.decisions, lambda row: row["bound"])
    assert len(by) == 5
    found = []
    for bound, rows in sorted(by.items(), key=lambda item: (-len(item[1]), _bounds(item[0]))):
        values = [row["leverage_fanin"] for row in rows]
        cut = [row["leverage_fanin"] / row["raw"] for row in rows if row["raw"] > 0]
        found.append(
            {"bound": bound, "n": len(rows), "share": len(rows) / len(known.decisions), "leverage_min": min(values),
             "leverage_median": median(values), "leverage_max": max(values), "cut_median": median(cut)}
        )  # fmt: skip
    return found


def _bounds(name):
    return ("PRODUCT", "CAP", "ABS", "STALKER", "FLOOR").index(name)


@told("floor_lifted")
def test_floor_lifted(known):
    lifted = [row for row in known.decisions if "FLOOR_LIFTED" in row["reasons"]]
    parts = ("dc", "acb_boost", "meta_boost", "mc_scale", "ob", "esof_fanin")
    by = {part: rows for part in parts if (rows := [row for row in lifted if row[part] == 0])}
    return [
        {"zero": part, "n": len(rows), "notional_usd": math.fsum(row["notional_usd"] for row in rows),
         "first_ts": iso(min(row["ts_ms"] for row in rows)), "last_ts": iso(max(row["ts_ms"] for row in rows))}
        for part, rows in sorted(by.items(), key=lambda item: (-len(item[1]), item[0]))
    ]  # fmt: skip


@told("stale_planes")
def test_stale_planes(known):
    found = []
    for plane in PLANES:
        missing, stale = (
            [row for row in known.scans if f"PLANE_{what}_{plane.upper()}" in row["reasons"]]
            for what in ("MISSING", "STALE")
        )
        either = missing + stale
        found.append(
            {"plane": plane, "scans": len(known.scans), "missing": len(missing), "stale": len(stale),
             "share": len(either) / len(known.scans), "decisions": sum(row["decided"] for row in either),
             "last_ts": iso(max(row["ts_ms"] for row in either))}
        )  # fmt: skip
    return sorted(found, key=lambda row: (-row["share"], row["plane"]))


@told("plane_ages")
def test_plane_ages(known):
    planes = [parse(line) for line, outcome in zip(known.lines, known.outcomes, strict=True) if is_a(outcome, "plane")]
    newest = {
        stream: max(row["ts_ms"] for row in rows)
        for stream, rows in groups(known.scans, lambda row: row["stream"]).items()
    }
    found = []
    for (stream, name), rows in sorted(groups(planes, lambda plane: (plane["stream"], plane["name"])).items()):
        steps = [after["ts_ms"] - before["ts_ms"] for before, after in pairwise(rows)]
        found.append(
            {"stream": stream, "plane": name, "n": len(rows), "step_median_s": median(steps) / 1_000,
             "longest_gap_s": max(steps) / 1_000, "age_s": (newest[stream] - rows[-1]["ts_ms"]) / 1_000}
        )  # fmt: skip
    return found


@told("hourly_swing")
def test_hourly_swing(known):
    by = groups(known.decisions, lambda row: row["ts_ms"] // 3_600_000 * 3_600_000)
    found, before = [], None
    for hour, rows in sorted(by.items()):
        values = [row["leverage_fanin"] for row in rows]
        found.append(
            {"hour": iso(hour).replace(".000", ""), "n": len(rows), "conviction_avg": fmean(values), "conviction_median": median(values),
             "conviction_min": min(values), "conviction_max": max(values), "acb_avg": fmean(row["acb"] for row in rows),
             "swing": None if before is None else pytest.approx(fmean(values) - before, abs=1e-12)}
        )  # fmt: skip
        before = fmean(values)
    assert len(found) > 5
    return found


@told("diversity")
def test_diversity(known):
    by = groups(known.decisions, lambda row: row["asset"])
    found, so_far = [], 0
    for rank, (asset, rows) in enumerate(sorted(by.items(), key=lambda item: (-len(item[1]), item[0])), 1):
        so_far += len(rows)
        found.append(
            {"rank": rank, "asset": asset, "n": len(rows), "share": len(rows) / len(known.decisions),
             "share_up_to": so_far / len(known.decisions), "leverage_avg": fmean(row["leverage"] for row in rows)}
        )  # fmt: skip
    return found


@told("silence")
def test_silence(known):
    found = []
    for stream, rows in groups(known.scans, lambda row: row["stream"]).items():
        times = sorted({row["ts_ms"] for row in rows})
        usual = median(b - a for a, b in pairwise(times))
        found += [
            {"stream": stream, "from_ts": iso(a), "to_ts": iso(b), "gap_s": (b - a) / 1_000, "steps_missed": (b - a) / usual - 1,
             "usual_step_s": usual / 1_000}
            for a, b in pairwise(times) if b - a > 2 * usual
        ]  # fmt: skip
    assert len(found) == known.journal.figures(known.run_id)["scan_gaps"]  # as the gate counts them
    return sorted(found, key=lambda row: (-row["gap_s"], row["stream"], row["from_ts"]))


@told("conviction")
def test_conviction(known):
    found = []
    for what, values in {
        "conviction": [row["leverage_fanin"] for row in known.decisions],
        "notional_fraction": [row["fraction"] * row["leverage"] for row in known.decisions],
    }.items():
        cut = {f"p{q:02}": quantile(values, q / 100) for q in (5, 25, 50, 75, 95)}
        found.append(
            {"what": what, "n": len(values), "min": min(values)} | cut | {"max": max(values), "avg": fmean(values)}
        )
    return found


@told("episodes")
def test_episodes(known):
    found = defaultdict(list)
    for rows in groups(known.scans, lambda row: row["stream"]).values():
        for (decided, asset), row in groupby(rows, key=lambda row: (row["decided"], row["asset"])):
            if decided:
                found[asset].append(list(row))
    answer = []
    for asset, episodes in found.items():
        n, longest = sum(map(len, episodes)), max(map(len, episodes))
        answer.append(
            {"asset": asset, "episodes": len(episodes), "n": n, "length_avg": n / len(episodes), "length_max": longest,
             "longest_from_ts": iso(min(each[0]["ts_ms"] for each in episodes if len(each) == longest))}
        )  # fmt: skip
    assert max(row["length_max"] for row in answer) > 2
    return sorted(answer, key=lambda row: (-row["n"], row["asset"]))


@told("spikes")
def test_spikes(known):
    names = ((-0.1, "-0.05 to -0.1"), (-1, "-0.1 to -1"), (-10, "-1 to -10"), (-100, "-10 to -100"))
    deep = [row for row in known.decisions if row["vel_div"] <= -0.05]
    by = groups(deep, lambda row: next((name for bound, name in names if row["vel_div"] > bound), "-100 and below"))
    assert len(by) == 5
    found = []
    for name, rows in by.items():
        values = [row["leverage"] for row in rows]
        found.append(
            {"vel_div": name, "n": len(rows), "deepest": min(row["vel_div"] for row in rows), "leverage_min": min(values),
             "leverage_median": median(values), "leverage_max": max(values)}
        )  # fmt: skip
    return sorted(found, key=lambda row: -row["deepest"])


@told("haircuts")
def test_haircuts(known):
    def band(row):
        return next(
            (str(each) for each in (0.3, 0.4, 0.65, 0.8, 0.9) if abs(each - row["esof"]) <= 0.01),
            "1" if abs(1 - row["esof"]) <= 0.01 else "between",
        )

    by = groups(known.decisions, band)
    assert len(by) == 7
    return [
        {"haircut": name, "n": len(rows), "share": len(rows) / len(known.decisions),
         "fallback": sum(bool({"PLANE_MISSING_ESOF", "PLANE_STALE_ESOF"} & row["reasons"]) for row in rows),
         "leverage_avg": fmean(row["leverage"] for row in rows)}
        for name, rows in sorted(by.items())
    ]  # fmt: skip


@told("reasons")
def test_reasons(known):
    by = {
        reason: [row for row in known.scans if reason in row["reasons"]]
        for reason in set().union(*(row["reasons"] for row in known.scans))
    }
    assert len(by) == 26
    answer = known.ask("reasons")
    assert [row["decisions"] + row["evaluations"] for row in answer] == sorted(map(len, by.values()), reverse=True)
    return [  # of equal counts, the engine's order is the enum's
        {"reason": reason, "decisions": sum(row["decided"] for row in by[reason]),
         "evaluations": sum(not row["decided"] for row in by[reason]), "first_ts": iso(min(row["ts_ms"] for row in by[reason])),
         "last_ts": iso(max(row["ts_ms"] for row in by[reason]))}
        for reason in (row["reason"] for row in answer)
    ]  # fmt: skip


def test_rejected(known):
    codes = dict(zip(records.POISON, POISON, strict=True))
    found = defaultdict(list)
    for at, (line, outcome) in enumerate(zip(known.lines, known.outcomes, strict=True)):
        if is_a(outcome, "reject"):
            found["LANE_NON_FINITE" if outcome[1] else codes[line]].append(at)
    answer = {row["code"]: row for row in known.ask("rejected")}
    assert {code: (row["n"], row["first_offset"], row["last_offset"]) for code, row in answer.items()} == {
        code: (len(offsets), offsets[0], offsets[-1]) for code, offsets in found.items()
    }
    assert len(found) >= 12
    assert "acb" in answer["LANE_NON_FINITE"]["example"]


def test_lane_at(known):
    both = [row for row in known.scans if row["scan_id"] == 55 and "DUP_SCAN" not in row["reasons"]]
    assert {row["stream"] for row in both} == set(records.STREAMS)
    answer = [
        row
        for row in known.ask("lane_at", "--param", "scan=55")
        if row["log_offset"] in {each["offset"] for each in both}
    ]
    same(answer, [
        {"stream": row["stream"], "ts": iso(row["ts_ms"]), "log_offset": row["offset"], "actuated": row["decided"], "lane": lane,
         "value": row[lane], "components": components}
        for row in sorted(both, key=lambda row: row["stream"])
        for lane, components in {
            "base": {"strength": row["strength"], "vel_div": row["vel_div"]}, "dc": {"confirm": float(row["dc_status"] == "CONFIRM")},
            "acb": {name: row[name] for name in ("acb_boost", "meta_boost", "mc_scale")}, "ob": {"mult": row["ob"]},
            "esof": {"esof_fanin": row["esof_fanin"], "sc_mult": row["sc_mult"]},
        }.items()
    ])  # fmt: skip


@told("lane_quantiles")
def test_lane_quantiles(known):
    by = {"*": known.scans} | dict(sorted(groups(known.decisions, lambda row: row["asset"]).items()))
    found = []
    for lane in ("base", "dc", "acb", "ob", "esof"):
        for asset, rows in by.items():
            values = sorted(row[lane] for row in rows)
            cut = {f"p{q:02}": values[int(len(values) * q / 100)] for q in (1, 5, 50, 95, 99)} | {
                "p50": median_low(values)
            }
            found.append({"lane": lane, "asset": asset, "n": len(values), "min": values[0]} | cut | {"max": values[-1]})
    return found


@told("lane_pull")
def test_lane_pull(known):
    found = []
    for lane in ("dc", "acb", "ob", "esof"):
        values = [row[lane] for row in known.decisions]
        found.append(
            {"lane": lane, "n": len(values), "raised": sum(v > 1 for v in values), "lowered": sum(v < 1 for v in values),
             "unmoved": values.count(1.0), "zero": values.count(0.0), "factor_avg": geometric_mean([v for v in values if v > 0]),
             "factor_min": min(values), "factor_max": max(values)}
        )  # fmt: skip
    return found


@told("margin_fit")
def test_margin_fit(known):
    sized = [row["fraction"] * row["leverage"] for row in known.decisions]
    found = []
    for leverage in (1, 2, 3):
        fits, used = sum(nf <= leverage for nf in sized), [nf / leverage for nf in sized]
        found.append(
            {"exchange_leverage": leverage, "n": len(sized), "fits": fits, "share": fits / len(sized),
             "used_median": median(used), "used_p95": quantile(used, 0.95)}
        )  # fmt: skip
    assert found[0]["fits"] < len(sized)
    return found


def test_canary(known):
    """A candidate of acb says a quarter more at every third scan, and nothing finite at some."""
    said = [
        {**row, "candidate": None if n % 17 == 5 else row["acb"] * (1.25 if n % 3 == 0 else 1.0),
         "moved": None if n % 17 == 5 else row["leverage"] * (1.25 if n % 3 == 0 else 1.0)}
        for n, row in enumerate(known.scans)
    ]  # fmt: skip
    constant = {"run_id": known.run_id, "lane": "acb", "topic": "t", "partition": 0, "params_hash": "p", "kernel_hash": "k",
                "params": "{}", "fault": ""}  # fmt: skip
    own = {"log_offset": "offset", "stream": "stream", "scan_id": "scan_id", "ts_ms": "ts_ms", "actuated": "decided",
           "value": "acb", "candidate": "candidate", "leverage": "leverage", "candidate_leverage": "moved"}  # fmt: skip
    columns = {name: [value] * len(said) for name, value in constant.items()}
    columns |= {name: [row[of] for row in said] for name, of in own.items()}
    for token in ("once", "again"):  # a reading that is read twice is one row
        canary.write(known.journal.store, columns, token)
    sized = [row for row in said if row["decided"]]
    ratios = sorted(row["moved"] / row["leverage"] for row in sized if row["moved"] is not None and row["leverage"] > 0)
    right = {
        "lane": "acb", "params_hash": "p", "kernel_hash": "k", "since": iso(min(row["ts_ms"] for row in said)),
        "until": iso(max(row["ts_ms"] for row in said)), "n": len(said),
        "differs": sum(row["candidate"] not in (None, row["acb"]) for row in said),
        "diff_max": max(abs(row["candidate"] - row["acb"]) for row in said if row["candidate"] is not None),
        "decisions": len(sized), "unsized": sum(row["moved"] is None for row in sized),
        "moved": sum(row["moved"] not in (None, row["leverage"]) for row in sized),
        "ratio_min": ratios[0], "ratio_p50": median_low(ratios), "ratio_max": ratios[-1],
    }  # fmt: skip
    assert right["unsized"] > 0
    assert 0 < right["moved"] < right["decisions"]
    same(known.ask("canary"), [right])


def test_freshness(known):
    batches = known.journal.rows(
        "SELECT * FROM violet_batches WHERE run_id = {run:String} AND phase = 'COMPLETE'", run=known.run_id
    )
    latencies = [batch["latency_ms"] for batch in batches]
    (answer,) = known.ask("freshness")
    last = max((b for b in batches if b["decisions"] + b["evaluations"]), key=lambda batch: batch["written_at"])
    assert (answer["batches"], answer["outcomes"]) == (len(batches), len(known.lines))
    assert answer["latency_p99_ms"] == pytest.approx(quantile(latencies, 0.99))
    assert answer["latency_max_ms"] == pytest.approx(max(latencies))
    assert answer["drift_s"] == pytest.approx(last["drift_ms"] / 1_000)


@pytest.fixture(scope="module")
def trades(known, tmp_path_factory):
    """Trades of BLUE at the very instants of decisions, with leverage and pnl of their own; the decisions that they meet."""
    at = Counter((row["asset"], row["ts_ms"]) for row in known.decisions)
    met = [row for row in known.decisions if at[row["asset"], row["ts_ms"]] == 1][::3]
    rows = [
        {
            "row": row,
            "recorded": round(row["base"] * (0.9 + n % 7 / 20), 6),
            "pnl": round((n % 5 - 1.5) * (1 + row["strength"]), 4),
        }
        for n, row in enumerate(met)
    ]
    path = tmp_path_factory.mktemp("blue") / "trades.csv"
    path.write_text("trade_id,asset,side,entry_ts_ms,leverage,pnl\n" + "".join(
        f"t{n},{r['row']['asset']},SHORT,{r['row']['ts_ms']},{r['recorded']!r},{r['pnl']!r}\n" for n, r in enumerate(rows)
    ))  # fmt: skip
    said = known.journal.violet("blue", "import", "--trades", path, "--any-clock", "--json")
    assert said.code == 0, said.err
    return rows


def test_blue_tail(known, trades):
    by = groups(trades, lambda trade: bucket(trade["row"]["vel_div"]))
    found = []
    for name, rows in [*sorted(by.items()), ("all", trades)]:
        ratios = [each["recorded"] / each["row"]["base"] for each in rows]
        above = sum(ratio > 1.05 for ratio in ratios)
        found.append({"label": "REAL", "vel_div": name, "n": len(rows), "above": above, "share_above": above / len(rows),
                      "ratio_median": median(ratios)})  # fmt: skip
    assert 0 < found[-1]["above"] < len(trades)
    same(known.ask("blue_tail"), found)


def test_blue_edge(known, trades):
    names = ((1 / 3, "0 to 1/3"), (2 / 3, "1/3 to 2/3"), (1, "2/3 to 1"))
    by = groups(
        trades, lambda trade: next((name for bound, name in names if trade["row"]["strength"] < bound), "saturated")
    )
    assert len(by) == 4
    found = []
    for name, rows in sorted(by.items()):
        wins, pnl = sum(each["pnl"] > 0 for each in rows), math.fsum(each["pnl"] for each in rows)
        found.append({"label": "REAL", "strength": name, "n": len(rows), "wins": wins, "win_rate": wins / len(rows), "pnl_usd": pnl,
                      "pnl_avg_usd": pnl / len(rows)})  # fmt: skip
    same(known.ask("blue_edge"), found)


def test_every_saved_query_is_tested_here():
    asked = set(re.findall(r'(?:@told|\.ask)\("(\w+)"', Path(__file__).read_text("utf-8")))
    assert set(query.saved()) == asked


def test_a_head_names_the_columns_that_come(known, trades):
    for name, each in query.saved().items():
        named = re.sub(r" \([^()]*\)", "", each.columns).removesuffix(".").split(", ")
        assert list(known.ask(name, "--param", "scan=55")[0]) == named, name


def test_the_list_says_what_each_answers():
    said = violet("sql", "--saved")
    assert [line.split("  ", 1)[0] for line in said.out.splitlines()] == list(query.saved())
    assert all(each.question in said.out for each in query.saved().values())
    assert [each["name"] for each in json.loads(violet("sql", "--saved", "--json").out)] == list(query.saved())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--saved", "clmps"), "did you mean 'clamps'"),
        (("--saved", "zzz"), "`violet sql --saved` lists them"),
        (("SELECT 1", "--saved", "clamps"), "not both"),
        ((), "give a query, or --saved"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments, words, tmp_path):
    said = violet("sql", *arguments, "--data", tmp_path / "none")
    assert (said.code, said.out) == (3, "")
    assert words in said.err


def test_without_a_run_it_is_the_latest(known):
    (row,) = known.journal.violet("sql", "--saved", "freshness", "--json").json
    assert row["outcomes"] == len(records.plain(30))


def test_the_table_of_the_page_is_the_list():
    page = (ROOT / "docs/sql.md").read_text("utf-8")
    for each in query.saved().values():
        assert f"| `{each.name}` | {each.question} |" in page


def test_the_page_s_studies_are_shown_of_decisions_and_trades(known, trades):
    page = (ROOT / "docs/blue.md").read_text("utf-8")
    lines = page.partition("## Studies")[2].partition("```sh\n")[2].partition("```")[0].splitlines()
    shown = [known.journal.violet(*line.split()[1:-2], known.run_id) for line in lines]  # without the page's --data
    assert [each.code for each in shown] == [0, 0]
    assert "decisions of the run: every one" in shown[0].out
    assert "trades of BLUE beside a decision (REAL): cleaned; SHORT;" in shown[1].out
    assert "of many rows some are wrong" in shown[1].out
    rows = known.journal.violet("blue", "study", "margin", known.run_id, "--json").json
    assert {(row["run_id"], row["label"]) for row in rows} == {(known.run_id, "")}  # BLUE recorded no notional
    assert known.journal.violet("blue", "study", "findings").code == 0
    assert known.journal.violet("blue", "study", "profit").code == 3
