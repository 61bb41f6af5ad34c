"""What a soak journals is proved while it runs: whoever asks later adds up, also after a kill."""

import pytest

from journal.judge import count, proof
from reactor.run import proving
from reactor.run.attend import Watcher, soak
from reactor.run.settings import load
from tests.integration import records
from tests.integration.soaking import until

N, STRETCH, SIZE = 3_000, 500, 100


class Waiting(Watcher):
    """Lets no batch behind the fourth stretch come before that one is proved; then keeps what is counted."""

    def begin(self, session, connect, stack):
        self.store, self.run_id = stack.enter_context(connect()), session.run.run_id

    def proved(self):
        sql = (
            "SELECT count() FROM violet_proofs WHERE run_id = {run:String} AND last_offset - first_offset >= {n:Int64}"
        )
        return self.store.count(sql, {"run": self.run_id, "n": STRETCH - 1})

    def batch(self, batch):
        if batch.last + 1 >= 4 * STRETCH + SIZE:
            until(lambda: self.proved() >= 4, 20)


@pytest.mark.slow
def test_a_soak_proves_its_full_stretches_before_anybody_asks(tmp_path, monkeypatch):
    for module in (proof, proving):
        monkeypatch.setattr(module, "STRETCH", STRETCH)
    monkeypatch.setattr(proof, "LEAST", STRETCH // 2)
    monkeypatch.setattr(proving, "LOOK_S", 0.1)
    counted, rows = [], count.rows
    monkeypatch.setattr(count, "rows", lambda store, scope: counted.append(scope) or rows(store, scope))
    archive = records.write(tmp_path / "scans.jsonl", records.plain(N))
    result = soak(load({"scans": archive, "data": tmp_path / "data", "batch_size": SIZE}, None, {}), Waiting())
    assert (result["lost"], result["corrupt"], result["records"] > N) == (0, 0, True)
    proved = [scope.starts[0] for scope in counted if scope.starts[0] < 4 * STRETCH]
    assert proved == [0, *(n * STRETCH for n in (1, 2, 3))]  # each once: the summary added them up
