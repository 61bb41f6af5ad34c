// The page: its address says what is shown, the stream says how it stands.

import { ago, count, el, pairs, put, share, short, span, table, time } from "./text.js";
import { Fanin, Lane } from "./panel.js";
import { outcome } from "./outcome.js";

const WINDOWS = { 2000: "2,000", 20000: "20,000", 200000: "200,000", 2000000: "2,000,000" };
const AGAIN_MS = 2000;
const $ = (id) => document.getElementById(id);
const tile = (id) => [$(id).querySelector("b"), $(id).querySelector("small"), $(id)];

const LANES = $("lanes").dataset.lanes.split(" ");
let source = null;
let listening = ""; // what the stream was opened with
let shown = null; // run_id of what is on the page
let whole = null;
let heard = 0; // when the last figures came, by this browser's clock
let before = null; // what had the focus before an outcome was opened
const lanes = LANES.map((name) => new Lane(name, follow));
const fanin = new Fanin($("fanin"));
$("lanes").append(...lanes.map((lane) => lane.node));
$("last").append(...Object.entries(WINDOWS).map(([value, text]) => el("option", { value, textContent: `${text} records` })));
$("last").value = "20000";

// ---- the address -------------------------------------------------------------------------------------------------------

function place() {
  const [, , run, , lane, , scan] = /^(\/run\/([^/]+))?(\/lane\/([^/]+))?(\/scan\/([^/]+))?\/?$/.exec(location.pathname) ?? [];
  const asked = new URLSearchParams(location.search);
  return { run: run && decodeURIComponent(run), lane, scan: scan && decodeURIComponent(scan), stream: asked.get("stream"), partition: asked.get("partition") };
}

function path({ run = place().run, lane, scan, stream, partition }) {
  const asked = new URLSearchParams(Object.entries({ stream, partition }).filter(([, value]) => value));
  return (run ? `/run/${encodeURIComponent(run)}` : "") + (lane ? `/lane/${lane}` : scan ? `/scan/${encodeURIComponent(scan)}` : run ? "" : "/")
    + (asked.size ? `?${asked}` : "");
}

function go(to) {
  if (to !== location.pathname + location.search) history.pushState(null, "", to);
  arrive();
}

function follow(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  go(event.currentTarget.getAttribute("href"));
}

function arrive() {
  const { run, lane, scan, stream, partition } = place();
  const known = LANES.includes(lane);
  document.body.toggleAttribute("data-lane", known);
  if (known) document.body.dataset.lane = lane;
  $("back").hidden = !known;
  $("back").firstChild.href = $("home").href = path({});
  for (const each of lanes) {
    each.link.href = path({ lane: each.name });
    each.node.hidden = each.off || (known && each.name !== lane);
    each.lines.fit();
  }
  $("run").value = run ?? "";
  document.title = [scan && `scan ${scan}`, known && lane, run, "VIOLET"].filter(Boolean).join(" · ");
  if (`${run}|${$("last").value}` !== listening) listen();
  if (scan) open(scan, stream, partition);
  else if ($("outcome").open) $("outcome").close();
}

addEventListener("popstate", arrive);
$("home").addEventListener("click", follow);
$("back").firstChild.addEventListener("click", follow);
$("run").addEventListener("change", () => go(path({ run: $("run").value || null })));
$("last").addEventListener("change", listen);
$("open").addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("what").value.trim()) go(path({ scan: $("what").value.trim() }));
});

// ---- the stream --------------------------------------------------------------------------------------------------------

function listen() {
  source?.close();
  const { run } = place();
  listening = `${run}|${$("last").value}`;
  source = new EventSource(`/api/stream?${new URLSearchParams({ ...(run && { run }), last: $("last").value })}`);
  const hear = (name, tell) => source.addEventListener(name, (event) => tell(JSON.parse(event.data)));
  hear("pulse", pulse);
  hear("window", windowed);
  hear("whole", wholly);
  hear("away", ({ why, is_away }) => state(is_away ? "the journal does not answer, trying again" : why, is_away ? "journal away" : "nothing yet"));
  source.onerror = () => {
    state("this page's server does not answer, trying again; if it was ended, start `violet web`", "away");
    if (source.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || listen(), AGAIN_MS);
  };
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) source?.close(); // what nobody sees costs nothing
  else listen();
});

function state(problem, word) {
  document.body.toggleAttribute("data-old", Boolean(problem && heard)); // what stands there is from before
  $("away").hidden = !problem;
  put($("away"), problem && heard ? `${problem}. All figures are as of ${time(heard)} UTC` : problem);
  put($("link"), word);
  $("link").className = problem ? "bad" : word;
}

function pulse(told) {
  if (shown !== null && told.run_id !== shown) return location.reload(); // nothing of another run may stay
  if (shown === null) {
    shown = told.run_id;
    choose();
  }
  state("", told.state !== "RUNNING" ? told.state.toLowerCase() : whole?.mode === "INTERRUPTED" ? "interrupted" : "live");
  heard = Date.now();
  const [value] = tile("scan");
  put(value, told.silence_s === null ? "none yet" : ago(told.silence_s));
  put($("counts"), ["records", "decisions", "evaluations", "planes", "rejects"].map((name) => `${count(told[name])} ${name}`).join("  ·  "));
}

function windowed(told) {
  for (const lane of lanes) {
    lane.show(told);
    if (lane.off) lane.node.hidden = true;
  }
  fanin.show(told);
  decisions(told.feed);
}

function wholly(told) {
  const news = String([told.blue, told.last_scan]) !== String([whole?.blue, whole?.last_scan]);
  whole = told;
  const [mode, modeNote, modeTile] = tile("mode");
  put(mode, told.mode);
  put(modeNote, [told.health, `for ${span(told.mode_s)}`, told.reason].filter(Boolean).join("; "));
  mark(modeTile, told.health === "HEALTHY" ? "good" : told.health === "FAILING" ? "bad" : "warn");
  put(tile("scan")[1], told.last_scan ? `event time ${time(told.last_scan)} UTC` : "");
  const [coverage, coverageNote, coverageTile] = tile("coverage");
  put(coverage, share(told.coverage));
  put(coverageNote, `of time ${share(told.time_coverage)}${told.time_coverage_of && `, worst: ${told.time_coverage_of}`}`);
  mark(coverageTile, told.short.includes("coverage") || told.short.includes("time_coverage") ? "warn" : "");
  const [lag, lagNote] = tile("lag");
  put(lag, told.lag_records === null ? "–" : count(told.lag_records));
  put(lagNote, `${told.lag_records === null ? "not known" : "records"}; batch p99 ${short(told.latency_ms_p99)} ms`);
  for (const name of ["lost", "doubled", "corrupt"]) put($("integrity").querySelector(`[data-key=${name}]`), count(told[name]));
  mark($("integrity"), told.lost || told.doubled || told.corrupt ? "bad" : "good");
  put(tile("integrity")[1], `${count(told.error_incidents)} errors, ${count(told.warnings)} warnings`);
  put(tile("orders")[0], count(told.orders));
  put(tile("orders")[1], `${told.trading_mode}, trading ${told.is_trading_allowed ? "allowed" : "not allowed"}`);
  const [verdict, verdictNote, verdictTile] = tile("verdict");
  put(verdict, told.verdict);
  put(verdictTile.querySelector("h2"), told.state === "ENDED" ? "Verdict" : "Verdict so far");
  const compared = told.compare ? `${told.compare.words}, ${told.compare.label} trades` : "no comparison yet";
  put(verdictNote, `${told.basis}. Beside BLUE: ${compared}. Trust: ${told.trust}`);
  mark(verdictTile, { PASS: "good", FAIL: "bad" }[told.verdict] ?? "warn");
  $("why").hidden = !told.why.length;
  if ($("why").dataset.of !== told.why.join()) {
    $("why").dataset.of = told.why.join();
    $("why").replaceChildren(...told.why.map((textContent) => el("li", { textContent })));
  }
  for (const lane of lanes) lane.describe(told.lanes.find((each) => each.lane === lane.name));
  fanin.count(told.bounds);
  pairs($("about").querySelector("dl"), [["run", told.run_id], ["name", told.name], ["state", told.state], ["profile", told.profile],
    ["source", told.source], ["started", `${time(told.started_at)} UTC`], ["params", told.params_hash], ["segments", told.segments],
    ["stand-ins upstream", told.upstream.join(", ") || "none"], ["replay of", told.replay_of || "none"],
    ["rejects by code", Object.entries(told.rejects_by_code).map(([code, n]) => `${code} ${count(n)}`).join(", ") || "none"],
    ["disk", `${share(told.disk_used)} full, journal ${(told.journal_bytes / 2 ** 20).toFixed(1)} MiB in ${count(told.parts)} parts`],
    ["versions", Object.entries(told.versions).map((each) => each.join(" ")).join(", ")]]);
  if (news) beside(told);
}

function mark(node, kind) {
  node.classList.remove("good", "warn", "bad");
  if (kind) node.classList.add(kind);
}

async function asked(url) {
  try {
    const answer = await fetch(url);
    return answer.headers.get("content-type") === "application/json" ? await answer.json() : { error: await answer.text() };
  } catch {
    return { error: "this page's server does not answer" };
  }
}

async function choose() {
  const found = await asked("/api/runs");
  if (found.error) return;
  $("run").replaceChildren(el("option", { value: "", textContent: "newest run" }), ...found.map((run) => el("option", {
    value: run.run_id, textContent: `${run.name}  ${run.run_id}  ${run.state.toLowerCase()}${run.replay_of ? "  replay" : ""}` })));
  $("run").value = place().run ?? "";
}

// ---- decisions ---------------------------------------------------------------------------------------------------------

function decisions(feed) {
  const list = $("feed").querySelector("ol");
  $("feed").classList.toggle("empty", !feed.length);
  if (list.contains(document.activeElement)) return; // a list that moves cannot be walked
  while (list.children.length < feed.length) {
    const link = el("a", {}, ...["at", "asset", "leverage", "bound"].map((className) => el("span", { className })));
    link.addEventListener("click", follow);
    list.append(el("li", {}, link));
  }
  while (list.children.length > feed.length) list.lastChild.remove();
  feed.forEach((row, at) => {
    const link = list.children[at].firstChild;
    const texts = [time(row.ts_ms).slice(5), row.asset, `${row.leverage.toFixed(4)}`, row.bound];
    texts.forEach((text, part) => put(link.children[part], text));
    link.setAttribute("href", path({ scan: row.scan_id, stream: row.stream }));
    link.title = `scan ${row.scan_id} of ${row.stream}, vel_div ${row.vel_div}, leverage ${row.leverage}`;
  });
}

function walk(step) {
  const links = [...$("feed").querySelectorAll("a")];
  links[Math.min(links.length - 1, Math.max(0, links.indexOf(document.activeElement) + step))]?.focus();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("outcome").open || event.target.matches("input, select")) return;
  const inside = $("feed").contains(document.activeElement);
  if (event.key === "j" || (inside && event.key === "ArrowDown")) walk(1);
  else if (event.key === "k" || (inside && event.key === "ArrowUp")) walk(-1);
  else if (event.key === "/") $("what").focus();
  else if (event.key === "Escape" && inside) document.activeElement.blur();
  else if (event.key === "Escape" && place().lane) go(path({}));
  else return;
  event.preventDefault();
});

// ---- one outcome -------------------------------------------------------------------------------------------------------

async function open(scan, stream, partition) {
  const run = place().run ?? shown;
  const found = await asked(`/api/explain?${new URLSearchParams({ ...(run && { run }), what: scan, ...(stream && { stream }), ...(partition && { partition }) })}`);
  if (place().scan !== scan) return;
  const close = el("button", { type: "button", textContent: "Close", className: "close" });
  close.addEventListener("click", () => $("outcome").close());
  const body = found.error ? [el("p", { className: "none", textContent: found.error })] : outcome(found);
  $("outcome").replaceChildren(close, ...body);
  if ($("outcome").open) return;
  before = document.activeElement;
  $("outcome").showModal();
}

$("outcome").addEventListener("close", () => {
  if (place().scan) go(path({}));
  before?.focus();
});
$("outcome").addEventListener("click", (event) => {
  if (event.target === $("outcome")) $("outcome").close();
});

// ---- beside BLUE -------------------------------------------------------------------------------------------------------

async function beside({ run_id, blue }) {
  const found = blue.length ? await asked(`/api/blue?${new URLSearchParams({ run: run_id })}`) : [];
  if (found.error) return;
  $("blue").hidden = !found.length;
  $("blue").replaceChildren(...found.flatMap((each) => {
    const [list, buckets] = [el("dl"), el("table")];
    pairs(list, [["trades", each.trades], ["within 5 minutes of a decision", each.colocated], ["assets covered", `${each.covered} of ${each.assets}`],
      ["sized", each.sized], ["equal bit for bit", each.identical],
      ["without a decision", Object.entries(each.unmatched).map(([why, n]) => `${why} ${n}`).join(", ") || "none"], ["trust", each.trust]]);
    table(buckets, ["vel_div", "direction", "n", "recorded", "journaled", "ratio", "above", "below"], each.buckets.map((row) => [row.vel_div, row.dc_status, row.n,
      row.recorded_median, row.journaled_median, row.ratio_median, share(row.share_above), share(row.share_below)]));
    return [el("h2", {}, "Beside BLUE ", el("span", { className: `tag ${each.label === "REAL" ? "" : "stand-in"}`, textContent: each.label })), list,
      el("div", { className: "wide" }, buckets)];
  }));
}

arrive();
