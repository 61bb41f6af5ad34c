"""A run beside BLUE as people read it: explained, as a report and as evidence; every number is SQL's."""

import json
import re
import shlex
import shutil
import subprocess

import pytest

from reactor.standin.seeded import write_market
from tests.integration.fixtures import own_journal
from tests.integration.soaking import ROOT, violet
from tests.webpage import CHROMIUM, needs_chromium

pytestmark = pytest.mark.slow
journal = own_journal


@pytest.fixture(scope="module")
def compared(journal, tmp_path_factory):
    """A soak of the seeded market beside a stand-in whose DC boost is another; its folder and run."""
    home = tmp_path_factory.mktemp("beside")
    write_market(home / "m.jsonl.zst", 11, 1_500)
    run = journal.soak(scans=home / "m.jsonl.zst", name="beside").run_id
    assert (
        violet("blue", "simulate", "--scans", home / "m.jsonl.zst", "--out", home / "t.csv", "--plant", "dc-boost").code
        == 0
    )
    assert journal.violet("blue", "import", "--trades", home / "t.csv").code == 0
    assert journal.violet("contract", "new", run, "--against", "blue", "-o", home / "c.json").code == 0
    said = journal.violet("compare", run, "--against", "blue", "--contract", home / "c.json", "--json")
    assert said.code == 1, said.err
    return home, run, said.json


@pytest.fixture(scope="module")
def written(journal, compared):
    """The report's file and its numbers."""
    home, run, _ = compared
    for name in ("r.html", "r.json"):
        said = journal.violet("report", run, "--against", "blue", "-o", home / name)
        assert said.code == 0, said.err
    return (home / "r.html").read_text("utf-8"), json.loads((home / "r.json").read_text("utf-8"))


def numbers(value):
    """Every number in an object, and of text that is one."""
    if isinstance(value, dict):
        return {n for key, each in value.items() for n in numbers(each) | numbers(key)}
    if isinstance(value, list):
        return {n for each in value for n in numbers(each)}
    if isinstance(value, str):
        return numbers(float(value)) if re.fullmatch(r"-?\d+(\.\d+)?", value) else set()
    return {float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else set()


def test_every_number_of_the_file_is_one_that_sql_gave(written):
    page, asked = written
    shown = [float(value) for value in re.findall(r'<data value="([^"]+)">', page)]
    assert len(shown) > 500
    identical = asked["compare"]["pairs"] - sum(row["n"] for row in asked["compare"]["figures"]["classes"])
    assert set(shown) - numbers(asked) <= {float(identical)}


def test_the_numbers_are_those_of_the_comparison_and_of_the_views(journal, compared, written):
    _, run, said = compared
    _, asked = written
    assert asked["compare"]["measures"] == said["measures"]
    assert asked["compare"]["figures"] == said["figures"]

    def ask(sql):
        return journal.violet("sql", sql, "--json").json

    sums = ask(
        f"SELECT term, nominal, effective, pairs FROM blue_attribution_sums WHERE compare_id = '{said['compare_id']}'"
    )
    shown = [
        {name: row[name] for name in ("term", "nominal", "effective", "pairs")}
        for row in asked["compare"]["attribution"]
    ]
    assert sorted(sums, key=str) == sorted(shown, key=str)
    moved = {row["term"] for row in sums if row["effective"]}
    assert moved == {"dc"}
    assert (
        ask(f"SELECT * FROM study_tail WHERE run_id = '{run}' AND label = '' AND vel_div = 'all'")[0]
        in asked["studies"]["tail"]
    )
    closures = ask(f"SELECT max(closure_ulp) AS most FROM blue_attribution WHERE compare_id = '{said['compare_id']}'")
    assert closures[0]["most"] <= 1.0


def test_the_verdict_is_read_first(written):
    page, _ = written
    words = re.sub(r"<[^>]+>", " ", page.partition("</style>")[2])[:1800]
    for each in ("FAIL", "do not size alike", "BLUE is a STAND-IN here", "LOGIC in dc", "can never earn trust"):
        assert each in words


@needs_chromium
@pytest.mark.parametrize(("wide", "media"), [(1200, "screen"), (390, "screen"), (720, "print")])
def test_a_browser_asks_for_nothing_else_and_nothing_is_cut(compared, written, wide, media):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": wide, "height": 900})
        asked, said = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.emulate_media(media=media)
        page.goto((compared[0] / "r.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= wide
        assert page.locator(".verdict b").bounding_box()["y"] < 200
        browser.close()
    assert [url.partition(":")[0] for url in asked] == ["file"]
    assert said == []


def test_a_decision_is_explained_beside_blue_s_trade(journal, compared):
    _, run, _ = compared
    (pair,) = journal.violet(
        "sql", f"SELECT scan_id FROM compare_pairs WHERE run_id = '{run}' AND NOT is_identical ORDER BY scan_id LIMIT 1", "--json"
    ).json  # fmt: skip
    said = journal.violet("explain", pair["scan_id"], "--run", run, "--against", "blue")
    assert said.code == 0, said.err
    for each in ("beside BLUE's trade STAND-IN-", "effective", "class LOGIC (dc)"):
        assert each in said.out
    beside = journal.violet("explain", pair["scan_id"], "--run", run, "--against", "blue", "--json").json["beside"]
    dc = next(term for term in beside["terms"] if term["term"] == "dc")
    assert (dc["ours"], dc["theirs"]) == (1.1, 1.15)
    (quiet,) = journal.violet("sql", f"SELECT scan_id FROM evaluations WHERE run_id = '{run}' LIMIT 1", "--json").json
    assert "only a decision" in journal.violet("explain", quiet["scan_id"], "--run", run, "--against", "blue").out
    (alone,) = journal.violet(
        "sql", f"SELECT scan_id FROM decisions WHERE run_id = '{run}' AND scan_id NOT IN (SELECT scan_id FROM compare_pairs) LIMIT 1",
        "--json",
    ).json  # fmt: skip
    refused = journal.violet("explain", alone["scan_id"], "--run", run, "--against", "blue")
    assert (refused.code, "no trade of BLUE stands beside scan" in refused.err) == (3, True)


def test_evidence_is_checked_in_another_directory(journal, compared, tmp_path):
    home, run, _ = compared
    words = ("bundle", "make", run, "--against", "blue", "-o", home / "e.zip", "--force")
    if openssl := shutil.which("openssl"):
        subprocess.run(
            [openssl, "genpkey", "-algorithm", "ed25519", "-out", home / "k.pem"], check=True, capture_output=True
        )
        words += ("--sign", home / "k.pem")
    made = journal.violet(*words)
    assert made.code == 0, made.err
    there = tmp_path / "elsewhere.zip"
    shutil.copy(home / "e.zip", there)
    whole = violet("bundle", "verify", there)
    assert (whole.code, "whole, " in whole.out, "FAILED" in whole.out) == (0, True, True), whole.err
    content = bytearray(there.read_bytes())
    content[content.index(b"pairs.tsv") + 2000] ^= 1
    there.write_bytes(content)
    broken = violet("bundle", "verify", there)
    assert (broken.code, broken.out, len(broken.err.strip().splitlines())) == (3, "", 1)
    assert "changed" in broken.err
    if openssl:
        subprocess.run([openssl, "pkey", "-in", home / "k.pem", "-pubout", "-out", home / "p.pem"], check=True)
        subprocess.run(
            [openssl, "genpkey", "-algorithm", "ed25519", "-out", home / "o.pem"], check=True, capture_output=True
        )
        subprocess.run([openssl, "pkey", "-in", home / "o.pem", "-pubout", "-out", home / "op.pem"], check=True)
        assert violet("bundle", "verify", home / "e.zip", "--key", home / "p.pem", "--json").json["is_trusted"] is True
        assert violet("bundle", "verify", home / "e.zip", "--key", home / "op.pem").code == 3


def test_the_page_s_commands_work_as_they_stand_there(journal, compared, monkeypatch):
    page = (ROOT / "docs/blue.md").read_text("utf-8")
    monkeypatch.chdir(compared[0])
    (pair,) = journal.violet("sql", "SELECT min(scan_id) AS id FROM compare_pairs", "--json").json
    ran = []
    for title in ("## Why the two differ", "## Report and evidence"):
        for line in page.partition(title)[2].partition("```sh\n")[2].partition("```")[0].splitlines():
            words = shlex.split(line)[1:]
            there = words[-2:] == ["--data", "my-soak"]
            words = [str(pair["id"]) if word == "304" else word for word in (words[:-2] if there else words)]
            ran.append((journal.violet if there else violet)(*words))
    assert [each.code for each in ran] == [0] * 5, [each.err for each in ran]


def test_a_comparison_that_is_not_valid_is_reported_by_its_clause_and_is_no_evidence(journal, compared, tmp_path):
    home, _, _ = compared
    run = journal.soak(scans=home / "m.jsonl.zst", name="invalid").run_id
    contract = tmp_path / "c.json"
    words = ("contract", "new", run, "--against", "blue", "-o", contract, "--floor-pairs", 100_000)
    assert journal.violet(*words).code == 0
    assert journal.violet("compare", run, "--against", "blue", "--contract", contract).code == 3
    assert journal.violet("report", run, "--against", "blue", "-o", tmp_path / "r.html").code == 0
    page = (tmp_path / "r.html").read_text("utf-8")
    for each in ("<b>INVALID</b>", "Because of: pairs.", "pairs: agreed at least 100000"):
        assert each in page
    for each in ("<h2>Measures</h2>", "trades of BLUE beside a decision"):
        assert each not in page
    refused = journal.violet("bundle", "make", run, "--against", "blue", "-o", tmp_path / "e.zip")
    assert (refused.code, "is no evidence" in refused.err) == (3, True)


def test_what_cannot_be_reported_is_refused(journal, compared, tmp_path):
    alone = journal.soak(scans=compared[0] / "m.jsonl.zst", name="alone").run_id
    refused = journal.violet("report", alone, "--against", "blue", "-o", tmp_path / "r.html")
    assert (refused.code, "was not compared with BLUE; fix: `violet compare" in refused.err) == (3, True)
    assert not (tmp_path / "r.html").exists()
    assert journal.violet("report", alone, "-o", tmp_path / "r.html").code == 0
    assert journal.violet("report", alone, "-o", tmp_path / "r.html").code == 3  # it is there already
    unsigned = journal.violet("bundle", "make", alone, "-o", tmp_path / "e.zip")
    assert "not signed" in unsigned.out
    assert violet("bundle", "verify", tmp_path / "e.zip").code == 0
    assert violet("bundle", "verify", tmp_path / "e.zip", "--key", compared[0] / "c.json").code == 3
