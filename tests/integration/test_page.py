"""The page in a real Chromium: its figures are SQL's, it asks nobody else, fits a phone, and does not grow."""

import json
import re
import signal
import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

from journal.judge.scope import completed
from journal.ledger.run import now, pick, save
from lanes.registry import LANES
from reactor.web.poller import reader
from tests.integration import records
from tests.integration.soaking import Journal, until
from tests.webpage import CHROMIUM, needs_chromium
from tests.webpage import page as served

EACH = [lane.name for lane in LANES]
WAIT_MS = 30_000
PHONE = {"width": 360, "height": 740}
STEP_S = 10
WARM_S = 20


def allowed(seconds):
    """Bytes that a page may grow by: one that kept what it is told would grow by 10 kB a second and more."""
    return 150_000 + 1_000 * seconds


pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser():
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def soaked(journal, mixed):
    return journal.soak(scans=mixed)


@pytest.fixture(scope="module")
def entered(journal, soaked, browser):
    """A browser that used the token, what it asked for, and what it complained of."""
    with served(journal.data) as made:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(WAIT_MS)
        asked, complaints = [], []
        context.on("request", lambda request: asked.append(request.url))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        tab = context.new_page()
        tab.goto(made.url(f"/run/{soaked.run_id}"))
        assert "token" not in tab.url
        yield tab, f"http://127.0.0.1:{made.port}/run/{soaked.run_id}", asked, complaints
        context.close()


@pytest.fixture
def tab(entered):
    """The overview of the run, with everything on it."""
    tab, base, _, _ = entered
    tab.set_viewport_size({"width": 1440, "height": 900})
    tab.goto(base)
    tab.locator("#verdict.good, #verdict.warn, #verdict.bad").wait_for()
    tab.locator("#feed a").first.wait_for()
    return tab


def shown(tab, key):
    return tab.locator(f"[data-key={key}]").inner_text()


def exact(tab, selector):
    """The whole value of a figure, which its title holds."""
    return float(tab.locator(selector).get_attribute("title"))


@pytest.mark.slow
def test_the_top_row_says_what_the_summary_says(tab, soaked):
    summary = soaked.summary
    assert {name: shown(tab, name) for name in ("lost", "doubled", "corrupt", "orders")} == dict.fromkeys(
        ("lost", "doubled", "corrupt", "orders"), "0"
    )
    assert (shown(tab, "mode"), shown(tab, "verdict"), shown(tab, "lag")) == ("ENDED", summary["verdict"], "0")
    assert shown(tab, "coverage") == f"{summary['coverage'] * 100:.1f} %"
    assert f"of time {summary['time_coverage'] * 100:.1f} %" in tab.locator("#coverage").inner_text()
    assert summary["verdict_basis"].partition(";")[0] in tab.locator("#verdict").inner_text()
    told = tab.locator("#counts").inner_text()
    for name in ("records", "decisions", "evaluations", "planes", "rejects"):
        assert re.search(rf"(?:^|\s){summary[name]:,} {name}", told)


@pytest.mark.slow
def test_the_panels_figures_are_those_of_sql(tab, journal, soaked):
    rows = journal.rows(
        "SELECT lane, argMax(value, log_offset) AS last, min(value) AS low, max(value) AS high, "
        "quantilesExactLow(0.05, 0.25, 0.5, 0.75, 0.95)(value) AS quantiles FROM lane_readings "
        "WHERE run_id = {run:String} GROUP BY lane",
        run=soaked.run_id,
    )
    assert {row["lane"] for row in rows} == set(EACH)
    for row in rows:
        panel = f"#lane-{row['lane']}"
        assert exact(tab, f"{panel} .now b") == row["last"]
        cells = tab.locator(f"{panel} .quantiles td").all()
        assert [float(cell.get_attribute("title")) for cell in cells] == [row["low"], *row["quantiles"], row["high"]]
        assert tab.locator(f"{panel} canvas").count() == 1
    bounds = journal.rows(
        "SELECT bound, count() AS n FROM decisions WHERE run_id = {run:String} GROUP BY bound", run=soaked.run_id
    )
    lines = tab.locator("#fanin .bounds tbody tr").all_inner_texts()
    assert {line.split()[0]: line.split()[1:] for line in lines} == {
        row["bound"]: [str(row["n"])] * 2 for row in bounds
    }


@pytest.mark.slow
def test_a_click_opens_the_waterfall_of_that_decision_and_escape_goes_back(tab, journal, soaked):
    (row,) = journal.rows(
        "SELECT * FROM decisions WHERE run_id = {run:String} ORDER BY ts_ms DESC, log_offset DESC LIMIT 1",
        run=soaked.run_id,
    )
    tab.locator("#feed a").first.click()
    outcome = tab.locator("#outcome article")
    expect(outcome.first).to_contain_text(f"SHORT {row['asset']}")
    assert urlsplit(tab.url).path.endswith(f"/scan/{row['scan_id']}")
    products = [float(text) for text in outcome.first.locator(".waterfall td:nth-child(4)").all_inner_texts()]
    acb = row["acb_boost"] * row["meta_boost"] * row["mc_scale"]
    running = [
        row["base"],
        row["base"] * row["dc"],
        row["base"] * row["dc"] * acb,
        row["base"] * row["dc"] * acb * row["ob"],
    ]
    assert products == [*running, row["raw"], row["raw"], row["cap"], row["leverage"]]
    tab.keyboard.press("Escape")
    expect(tab.locator("#outcome")).not_to_be_visible()
    expect(tab).to_have_url(re.compile(f"{soaked.run_id}$"))


@pytest.mark.slow
def test_the_keyboard_suffices(tab):
    tab.keyboard.press("j")
    tab.keyboard.press("j")
    tab.keyboard.press("ArrowDown")
    third = tab.locator("#feed a").nth(2)
    expect(third).to_be_focused()
    tab.keyboard.press("k")
    expect(tab.locator("#feed a").nth(1)).to_be_focused()
    tab.keyboard.press("Enter")
    expect(tab.locator("#outcome")).to_be_visible()
    tab.keyboard.press("Escape")
    expect(tab.locator("#feed a").nth(1)).to_be_focused()
    tab.keyboard.press("Escape")
    tab.keyboard.press("/")
    expect(tab.locator("#what")).to_be_focused()


@pytest.mark.slow
def test_an_address_opens_a_quiet_bar_a_lane_and_a_word_for_what_is_not_there(tab, entered, journal, soaked):
    base = entered[1]
    (quiet,) = journal.rows(
        "SELECT scan_id, stream, reasons FROM evaluations WHERE run_id = {run:String} AND has(reasons, 'NO_SIGNAL') "
        "AND scan_id NOT IN (SELECT scan_id FROM decisions WHERE run_id = {run:String}) ORDER BY log_offset LIMIT 1",
        run=soaked.run_id,
    )  # fmt: skip
    tab.goto(f"{base}/scan/{quiet['scan_id']}?stream={quiet['stream']}")
    expect(tab.locator("#outcome article").first).to_contain_text("No decision")
    expect(tab.locator("#outcome article").first).to_contain_text("NO_SIGNAL")
    tab.goto(f"{base}/lane/acb")
    expect(tab.locator("#lane-acb .more")).to_contain_text("acb_boost * meta_boost * mc_scale")
    expect(tab.locator("#lane-base")).not_to_be_visible()
    tab.keyboard.press("Escape")
    expect(tab.locator("#lane-base")).to_be_visible()
    tab.goto(f"{base}/scan/99999999")
    expect(tab.locator("#outcome")).to_contain_text("has no outcome for 99999999")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "lines", "said"),
    [
        ({"profile": "v3_base9"}, [], dict.fromkeys(("acb", "meta", "mc", "ob", "esof"), "never seen")),
        ({}, [records.plane("acb", {"signals": 2.0})], {"meta": "never seen", "mc": "never seen"}),
        ({"from_": "7"}, records.every_plane(), {"mc": "none from offset 7 on", "ob": "none from offset 7 on"}),
        ({"from_": "1"}, records.every_plane()[:1], {"acb": "none from offset 1 on", "mc": "never seen"}),
    ],
    ids=["of lanes that are off", "beside signals", "before a late start", "some before a late start"],
)
def test_a_plane_is_never_seen_where_none_came(tab, entered, journal, tmp_path, flags, lines, said):
    archive = records.write(tmp_path / "a.jsonl", [*lines, *(records.scan(n) for n in range(50))])
    soaked = journal.soak(scans=archive, **flags)
    tab.goto(f"{entered[1].rpartition('/')[0]}/{soaked.run_id}")
    for name, words in said.items():
        expect(tab.locator(".inputs dt").get_by_text(f"plane {name}", exact=True).locator("+ dd")).to_have_text(words)


@pytest.mark.slow
def test_nothing_scrolls_sideways_on_a_phone(tab, entered):
    base = entered[1]
    tab.set_viewport_size(PHONE)
    for path in ("", "/lane/esof"):
        tab.goto(base + path)
        tab.locator("#verdict.good, #verdict.warn, #verdict.bad").wait_for()
        tab.locator("#feed a").first.wait_for()
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        beyond = "[...document.querySelectorAll('.panel, .tile, header > *')].filter((each) => each.getBoundingClientRect().right > 360).map((each) => each.id)"
        assert tab.evaluate(beyond) == [], path
    tab.locator("#feed a").first.click()
    expect(tab.locator("#outcome article").first).to_be_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.slow
def test_it_follows_the_systems_light_or_dark(tab):
    grounds = []
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        grounds.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert tab.locator("canvas").count() == len(EACH) + 1
    tab.emulate_media(color_scheme="light")
    light, dark = (sum(map(int, re.findall(r"\d+", ground))) for ground in grounds)
    assert light > 600 > 150 > dark


@pytest.mark.slow
def test_a_newer_run_leaves_nothing_of_the_one_before(browser, mixed, tmp_path):
    journal = Journal(tmp_path / "two")
    soaked = journal.soak(scans=mixed)
    with served(journal.data) as made:
        context = browser.new_context()
        context.set_default_timeout(WAIT_MS)
        tab = context.new_page()
        tab.goto(made.url())
        tab.locator("#feed a").first.wait_for()
        tab.locator("#verdict.good, #verdict.warn").wait_for()
        run = journal.run(soaked.summary["name"])
        save(journal.store, replace(run, run_id="later", name="later", state="RUNNING", started_at=now()))
        expect(tab.locator("#counts")).to_contain_text("0 records")
        expect(tab.locator("#about")).to_contain_text("later")
        assert tab.locator("#feed a").count() == 0
        assert tab.locator("#lane-acb .now b").get_attribute("title") is None
        expect(tab.locator("#link")).to_have_text("interrupted")  # nobody journals it
        context.close()
    journal.close()


@pytest.mark.slow
def test_figures_are_said_to_be_old_once_the_server_is_gone(browser, journal, soaked):
    context = browser.new_context()
    context.set_default_timeout(WAIT_MS)
    with served(journal.data) as made:
        tab = context.new_page()
        tab.goto(made.url(f"/run/{soaked.run_id}"))
        tab.locator("#verdict.good, #verdict.warn").wait_for()
        expect(tab.locator("#mode small")).to_contain_text(re.compile("^(HEALTHY|NOT SURE|FAILING)"))
        expect(tab.locator("body[data-old]")).to_have_count(0)
    expect(tab.locator("#away")).to_contain_text(re.compile(r"All figures are as of \d{4}-\d\d-\d\d [\d:]{8} UTC"))
    expect(tab.locator("body[data-old]")).to_have_count(1)
    context.close()


@pytest.mark.slow
def test_a_time_from_later_is_negative(tab):
    said = tab.evaluate("import('/static/text.js').then(({ span }) => [-5, -90, -90000, 5].map(span))")
    assert said == ["-5.0 s", "-1 min 30 s", "-1 d 1 h", "5.0 s"]


@pytest.mark.slow
def test_no_request_left_loopback_and_nothing_was_complained_of(tab, entered):
    _, _, asked, complaints = entered
    assert len(asked) > 10
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(entered[1]).netloc}
    assert [each for each in complaints if "404" not in each] == []  # a scan was asked for that is not there


@dataclass(frozen=True)
class Sample:
    """What the browser holds, and how far page and journal are."""

    at_s: float
    used: int  # bytes that are alive
    nodes: int
    shown: int  # records, on the page
    journaled: int  # records, in completed batches

    @classmethod
    def of(cls, tab, session, store, run_id):
        session.send("HeapProfiler.collectGarbage")
        return cls(
            time.monotonic(),
            session.send("Runtime.getHeapUsage")["usedSize"],
            session.send("Memory.getDOMCounters")["nodes"],
            int(re.sub(r"\D", "", tab.locator("#counts").inner_text().split("records")[0])),
            sum(completed(store, run_id).values()),
        )


@pytest.mark.parametrize(
    ("seconds", "least"),  # records a second: the short form holds however slow the machine
    [
        pytest.param(30, 100, marks=[pytest.mark.slow, pytest.mark.timeout(240)]),
        pytest.param(900, 1_000, marks=[pytest.mark.storm, pytest.mark.timeout(1_500)]),
    ],
)
def test_at_a_thousand_scans_a_second_the_pages_memory_stays(browser, spawn, tmp_path, seconds, least, capsys):
    count, data = 1_000 * (seconds + 120), tmp_path / "data"
    archive = records.write(tmp_path / "a.jsonl", records.plain(count))
    process = spawn("soak", "--scans", archive, "--data", data, "--speed", "60000x", "--json")
    until((data / "sql.json").exists, 60)
    with served(data, partial(reader, data, None)) as made:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        tab = context.new_page()
        tab.goto(made.url())
        tab.locator("#feed a").nth(59).wait_for(timeout=60_000)
        tab.wait_for_timeout(WARM_S * 1_000)
        with reader(data, None) as store:
            sample = partial(Sample.of, tab, context.new_cdp_session(tab), store, pick(store, None).run_id)
            samples = [sample()]
            while samples[-1].at_s - samples[0].at_s < seconds:
                tab.wait_for_timeout(STEP_S * 1_000)
                samples.append(sample())
        assert tab.locator("#link").inner_text() == "live"
        assert process.poll() is None
        context.close()
    process.send_signal(signal.SIGINT)
    summary = json.loads(process.communicate(60)[0])
    with capsys.disabled():
        print()
        for each in samples:
            print(
                f"{each.at_s - samples[0].at_s:>6.0f} s: {each.journaled:>9} records, {each.shown:>9} shown, "
                f"{each.used / 1e6:.2f} MB, {each.nodes} nodes"
            )
    first, last = samples[0], samples[-1]
    assert (summary["state"], summary["lost"], summary["doubled"]) == ("STOPPED", 0, 0)
    assert last.journaled - first.journaled > least * (last.at_s - first.at_s)
    assert [b for a, b in pairwise(samples) if b.shown < a.journaled] == []  # it stood still while the journal went on
    assert last.used - first.used < allowed(seconds)
    assert last.nodes - first.nodes < 500
