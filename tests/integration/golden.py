"""The golden log, and its journaled rows as text: what `tests/golden` holds."""

from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"
LOG = GOLDEN / "mixed.jsonl"  # three streams; every outcome, reason, bound and code that fits in a short line
ROWS = "mixed.txt"
_SCAN = (
    "log_offset stream scan_id ts_ms asset posture dc_status bound reasons vel_div w750 strength base dc acb_boost "
    "meta_boost mc_scale ob esof esof_fanin cap leverage_fanin sc_mult leverage fraction capital_usd notional_usd"
)
COLUMNS = {  # those of the first version; what a later one adds has golden files of its own
    "decisions": _SCAN,
    "evaluations": _SCAN,
    "planes": "log_offset stream name seq ts_ms form x y z text",
    "rejects": "log_offset code lane kind stream scan_id ts_ms bytes digest raw_sha detail",
}


def text(rows, run_id, content_hash):
    """Every row of a run, a line each, floats as hex; then the run's hash. rows: asks the journal."""
    lines = []
    for table, columns in COLUMNS.items():
        lines.append(f"{table}: {columns}")
        sql = f"SELECT {columns.replace(' ', ', ')} FROM violet_{table} FINAL WHERE run_id = {{run:String}} ORDER BY log_offset"
        lines += [" ".join(map(_word, row.values())) for row in rows(sql, run=run_id)]
    return "\n".join([*lines, f"content_hash: {content_hash}", ""])


def _word(value):
    return value.hex() if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)
