"""`violet contract` as people run it: new, show, check, and what each refuses in one line."""

import hashlib

import pytest

from journal.blue.contract import read
from reactor.log.kafka import KafkaLog
from reactor.run.settings import broker as connection
from tests.journal.blue.agreed import at, minutes, sized, soaked, traded


@pytest.fixture(scope="module")
def known(journal):
    first = minutes()
    written = soaked(journal.store, first)
    traded(journal.store, sized(first + 3))
    return first, written


@pytest.fixture
def contract(journal, known, tmp_path):
    """contract("new", "-o", FILE, ...) of the run; others as they are."""

    def ask(word, *arguments):
        about = (known[1].run_id, "--against", "blue") if word == "new" else ()
        return journal.violet("contract", word, *about, *arguments)

    return ask


def test_a_contract_s_hash_is_that_of_its_file_and_the_journal_has_it(contract, tmp_path):
    file = tmp_path / "c.json"
    said = contract("new", "-o", file, "--json")
    assert said.code == 0, said.err
    assert said.json["contract_hash"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert contract("check", file).code == 0
    for named in (file, said.json["contract_hash"][:10]):
        shown = contract("show", named, "--json")
        assert shown.json["contract"] == said.json["contract"]
    assert "after its window opened" in contract("show", file).out


def test_the_next_contract_follows_and_takes_the_terms(contract, known, tmp_path):
    first, _ = known
    span = ("--from", "2011-06-01", "--to", "2011-06-02")
    one = contract(
        "new", "-o", tmp_path / "1.json", *span, "--margin-leverage", "0.25", "--follows", "none", "--json"
    ).json
    two = contract("new", "-o", tmp_path / "2.json", "--from", "2011-06-02", "--to", "2011-06-03", "--json").json
    assert one["contract"]["lineage"] == {"follows": None, "changed": []}
    assert two["contract"]["lineage"] == {
        "follows": one["contract_hash"],
        "changed": ["window.from_ms", "window.to_ms"],
    }
    assert two["contract"]["margins"]["leverage"] == 0.25
    again = contract("new", "-o", tmp_path / "3.json", "--from", "2011-06-02", "--to", "2011-06-03", "--json").json
    assert again["contract_hash"] == two["contract_hash"]
    assert (tmp_path / "3.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    assert at(first) == known[1].value("SELECT min(ts_ms) FROM violet_decisions WHERE run_id = {run:String}")


def test_a_changed_byte_is_found_with_the_field_that_differs(contract, tmp_path):
    file = tmp_path / "c.json"
    assert contract("new", "-o", file).code == 0
    file.write_bytes(file.read_bytes().replace(b'"leverage":0.', b'"leverage":1.'))
    said = contract("check", file)
    assert said.code == 3
    assert "not anchored in this journal" in said.err
    assert "margins.leverage" in said.err
    assert said.err.count("\n") == 1
    assert "fix: " in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--alpha", "1"), "--alpha must be `float` < 1.0, was 1.0"), (("--alpha", "5e-324"), "--alpha must be `float` >= 1e-12"),
        (("--margin-leverage", "nan"), "--margin-leverage must be finite, was nan"), (("--margin-notional", "inf"), "--margin-notional must be finite"),
        (("--margin-notional", "-1"), "--margin-notional must be `float` > 0.0, was -1.0"), (("--floor-pairs", "0"), "--floor-pairs must be `int` >= 1"),
        (("--tolerance", "5"), "--tolerance 5: must be"), (("--tolerance", "2h"), "--tolerance must be `int` <= 3600000, was 7200000"),
        (("--floor-rate", "2"), "--floor-rate must be"), (("--floor-scans", "-0.1"), "--floor-scans must be"), (("--from", "1990-01-01"), "--from must be"),
        (("--universe", ","), "--universe ,: each must match"), (("--universe", "BTCUSDT,btc"), "was 'btc'"),
        (("--from", "now"), "--from must be a time"), (("--from", "2024-06-02", "--to", "2024-06-01"), "--from must be before --to"),
        (("--follows", "12ab"), "--follows 12ab: must be the hash"), (("--margin-notional", "some"), "--margin-notional must be"),
        (("--anchor-topic", "scans"), "must begin with `violet.`"), (("--anchor-topic", "violet.x.lanes.ob"), "must begin with"),
        (("--anchor-topic", "violet.contracts"), "must have a broker"), (("--allow", "nowhere.toml"), "--allow nowhere.toml: must be TOML"),
        (("--allow", "no-day.toml"), "month must be in 1..12"),
    ],
)  # fmt: skip
def test_what_a_contract_cannot_be_is_refused_and_nothing_is_kept(
    contract, journal, tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no-day.toml").write_text('[[allowed]]\nkind = "LOGIC"\nreason = "x"\nexpires = "2025-13-01"\n')
    kept = journal.value("SELECT count() FROM violet_contracts")
    said = contract("new", "-o", tmp_path / "c.json", *arguments)
    assert (said.code, words in said.err, "fix: " in said.err) == (3, True, True), said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "c.json").exists()
    assert journal.value("SELECT count() FROM violet_contracts") == kept


def test_a_known_difference_is_part_of_the_contract(contract, tmp_path):
    (tmp_path / "allow.toml").write_text(
        '[[allowed]]\nkind = "LOGIC"\nlane = "dc"\nreason = "boost"\nexpires = "2025-09-01"\n'
    )
    said = contract("new", "-o", tmp_path / "c.json", "--allow", tmp_path / "allow.toml", "--json").json
    assert said["contract"]["allowed"] == [
        {"kind": "LOGIC", "asset": "", "lane": "dc", "reason": "boost", "expires": "2025-09-01"}
    ]


def test_a_contract_is_kept_in_a_topic_of_its_own_too(contract, tansu, tmp_path):
    file = tmp_path / "c.json"
    said = contract("new", "-o", file, "--anchor-topic", "violet.contracts", "--bootstrap-servers", tansu.bootstrap)
    assert said.code == 0, said.err
    log = KafkaLog(connection(None, tansu.bootstrap), "violet.contracts", "test")
    values = [value for chunk in log.range(0, 0, 1) for value in chunk.values]
    log.close()
    assert values == [file.read_bytes()]
    assert read(values[0], "the topic").hash == hashlib.sha256(file.read_bytes()).hexdigest()
