"""A candidate's rows: written once however often they come, and how far they are."""

from journal.judge import canary
from tests.written import begin


def columns(run_id, offsets, partition=0, **changed):
    row = {
        "run_id": run_id, "lane": "acb", "topic": "t", "partition": partition, "params_hash": "p", "kernel_hash": "k",
        "params": "{}", "stream": "ng7", "scan_id": 1, "ts_ms": 1, "actuated": True, "value": 1.0, "candidate": 1.1,
        "leverage": 2.0, "candidate_leverage": None, "fault": "",
    } | changed  # fmt: skip
    return {"log_offset": offsets} | {name: [value] * len(offsets) for name, value in row.items()}


def test_rows_are_read_as_they_were_written_and_twice_is_once(store):
    run_id = begin(store).run_id
    assert canary.done(store, run_id, "acb") == {}
    canary.write(store, columns(run_id, [3, 4]), f"{run_id} 3-4")
    canary.write(store, columns(run_id, [4, 5]), f"{run_id} 4-5")
    canary.write(store, columns(run_id, [0], partition=2, lane="ob"), f"{run_id} ob")
    assert canary.done(store, run_id, "acb") == {0: 6}
    assert canary.done(store, run_id, "ob") == {2: 1}
    rows = store.rows(
        "SELECT * FROM canaries WHERE run_id = {run:String} AND lane = 'acb' ORDER BY log_offset", {"run": run_id}
    )
    assert [row["log_offset"] for row in rows] == [3, 4, 5]
    assert (rows[0]["candidate"], rows[0]["candidate_leverage"]) == (1.1, None)
