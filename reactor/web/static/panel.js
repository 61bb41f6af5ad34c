// Panels: one a lane, and the fan-in. Everything that is drawn comes from the stream; nothing is added up here.

import uPlot from "./uPlot.esm.js";
import { count, el, figure, pairs, put, share, short, span, table, time } from "./text.js";

const QUANTILES = ["5 %", "25 %", "median", "75 %", "95 %"];
const READ = { esof_fanin: "in the fan-in", sc_mult: "after it" };
const HOUR = 3600;
// Event time in UTC: [from this step on, label, and its second line at a new year, month, day, hour, minute, second].
const DAY = "\n{D} {MMM}";
const LABELS = [
  [HOUR * 24 * 365, "{YYYY}", null, null, null, null, null, null, 1],
  [HOUR * 24 * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [HOUR * 24, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", DAY, null, DAY, null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", DAY, null, DAY, null, null, null, 1],
  [0.001, ":{ss}.{fff}", DAY, null, DAY, null, "\n{HH}:{mm}", null, 1],
];
const charts = new Set();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// A chart of a few lines over time, some with a band from lowest to highest. Its data is replaced, never added to.
class Chart {
  constructor(host, lines, height, cursor) {
    Object.assign(this, { host, lines, height, cursor, plot: null, data: null });
    charts.add(this);
    new ResizeObserver(() => this.fit()).observe(host);
  }

  fit() {
    if (this.plot && this.host.clientWidth) this.plot.setSize({ width: this.host.clientWidth, height: this.height() });
    else this.draw();
  }

  show(data) {
    this.data = data;
    if (this.plot) this.plot.setData(data);
    else this.draw();
  }

  again() {
    this.plot?.destroy();
    this.plot = null;
    this.draw();
  }

  draw() {
    if (!this.data || !this.host.clientWidth) return;
    const axis = { stroke: colour("dim"), font: "11px system-ui", grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
    const series = [{}, ...this.lines.map(({ ink, dash, width }) => ink
      ? { stroke: colour(ink), width: width ?? 1.5, dash, points: { show: false } }
      : { stroke: "transparent", width: 0, points: { show: false } })];
    this.plot = new uPlot({
      width: this.host.clientWidth,
      height: this.height(),
      series,
      bands: this.lines.flatMap(({ over }, at) => over === undefined ? [] : [{ series: [at + 1, over + 1], fill: colour("band") }]),
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      legend: { show: false },
      padding: [8, 18, 0, 0],
      cursor: { drag: { x: false, y: false }, points: { show: false }, y: false, sync: { key: "time" } },
      axes: [{ ...axis, values: LABELS, size: 34, gap: 4 }, { ...axis, size: 44, gap: 4, values: (_, ticks) => ticks.map((each) => short(each)) }],
      hooks: { setCursor: [(plot) => this.cursor(plot.cursor.idx)] },
    }, this.data, this.host);
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.again()));

export class Lane {
  constructor(name, open) {
    this.name = name;
    this.at = el("span", { className: "at" });
    this.value = el("b");
    this.value.dataset.key = `lane-${name}`;
    this.tag = el("span", { className: "tag" });
    this.chart = el("div", { className: "chart" });
    this.bars = el("div", { className: "bars", ariaHidden: "true" });
    this.range = el("p", { className: "range note" });
    this.table = el("table", { className: "quantiles" });
    this.inputs = el("dl", { className: "inputs" });
    this.more = el("dl", { className: "more" });
    const link = el("a", { href: `/lane/${name}`, textContent: name, title: `the ${name} lane alone` });
    link.addEventListener("click", open);
    this.link = link;
    this.node = el("section", { className: "panel lane", id: `lane-${name}`, ariaLabel: `lane ${name}` },
      el("h2", {}, link, this.tag), el("div", { className: "now" }, this.value, this.at), this.chart,
      el("div", { className: "spread" }, this.bars, this.range, this.table), this.inputs, this.more);
    const height = () => (document.body.dataset.lane === name ? 300 : 118);
    this.lines = new Chart(this.chart, [{}, { over: 0 }, { ink: "accent" }], height, (at) => this.point(at));
  }

  point(at) {
    const data = this.lines.data;
    if (at === null || at === undefined || !data?.[0].length) return put(this.at, this.last ?? "");
    const [low, high, mean] = [1, 2, 3].map((line) => data[line][at]);
    put(this.at, `${time(data[0][at] * 1000)}  ${low === high ? short(low) : `${short(low)} – ${short(high)}, mean ${short(mean)}`}`);
  }

  show(told) {
    const { series, distribution, latest } = told;
    this.off = !series.lines[this.name]; // a lane beyond the five, in a run that has it off
    if (this.off) return;
    const [low, mean, high] = series.lines[this.name];
    this.lines.show([series.ts_ms.map((at) => at / 1000), low, high, mean]);
    const spread = distribution[this.name];
    if (spread) this.spread(spread);
    if (latest) this.latest(latest);
  }

  spread({ min, max, quantiles, counts, n }) {
    while (this.bars.children.length < counts.length) this.bars.append(el("i"));
    const most = Math.max(...counts);
    // Square roots: a lane rests at one value, and the few scans beside it are what one looks for.
    counts.forEach((each, at) => { this.bars.children[at].style.height = `${Math.ceil(100 * Math.sqrt(each / most))}%`; });
    put(this.range, `${count(n)} scans from ${short(min)} to ${short(max)}; a bar's height is the square root of its count`);
    table(this.table, ["min", ...QUANTILES, "max"], [[min, ...quantiles, max]], 4);
  }

  latest(row) {
    this.row = row;
    figure(this.value, row[this.name]);
    this.last = `scan ${row.scan_id} of ${row.stream}`;
    put(this.at, this.last);
    const inputs = (this.about?.components ?? []).map((name) => [name, row[name]]);
    for (const name of this.about?.reads ?? []) inputs.push([READ[name] ?? name, row[name]]);
    const before = row.planes_from; // what came there may have been seen, and is not stored
    for (const name of this.about?.planes ?? []) {
      const plane = row.planes.find((each) => each.name === name);
      inputs.push([`plane ${name}`, plane ? `${plane.value}  ${span(plane.age_s)} old` : !before || row.reasons.includes(`PLANE_MISSING_${name.toUpperCase()}`) ? "never seen" : `none from offset ${before} on`]);
    }
    pairs(this.inputs, inputs);
  }

  describe(about) {
    const known = this.about;
    this.about = about;
    if (!known && this.row) this.latest(this.row);
    put(this.tag, about.provenance);
    this.tag.className = `tag ${about.provenance}`;
    const { enabled, kernel, ...params } = about.params;
    const entries = [["formula", about.formula], ["source", about.source], ["enabled", enabled ? "yes" : "no: 1.0"]];
    if (about.kernel) entries.push(["kernel", `${kernel ?? ""} ${about.kernel}`]);
    pairs(this.more, [...entries, ...Object.entries(params).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value])]);
  }
}

export class Fanin {
  constructor(node) {
    this.node = node;
    this.value = node.querySelector("b");
    this.at = node.querySelector(".at");
    this.last = node.querySelector(".last");
    this.bounds = node.querySelector(".bounds");
    const lines = [{ ink: "dim" }, { ink: "warn", dash: [5, 4] }, { ink: "accent", width: 2 }];
    this.chart = new Chart(node.querySelector(".chart"), lines, () => 200, (at) => this.point(at));
  }

  point(at) {
    const data = this.chart.data;
    if (at === null || at === undefined || !data?.[0].length) return put(this.at, this.scan ?? "");
    put(this.at, `${time(data[0][at] * 1000)}  raw ${short(data[1][at])}, cap ${short(data[2][at])}, leverage ${short(data[3][at])}`);
  }

  show({ series, latest, bounds }) {
    this.chart.show([series.ts_ms.map((at) => at / 1000), series.lines.raw[0], series.lines.cap[0], series.lines.leverage[2]]);
    this.window = bounds;
    this.count();
    if (!latest) return;
    figure(this.value, latest.leverage);
    this.scan = `scan ${latest.scan_id} of ${latest.stream}`;
    put(this.at, this.scan);
    pairs(this.last, [["raw", latest.raw], ["cap", latest.cap], ["bound", latest.bound], ["leverage", latest.leverage],
      ["notional, USD", latest.notional_usd], ["of capital", share(latest.notional_fraction)], ["posture", latest.posture || "never seen"],
      [latest.outcome === "decision" ? "marks" : "did not decide", latest.reasons.join(", ") || "none"]]);
  }

  count(run = this.run) {
    this.run = run;
    const names = Object.keys({ ...run, ...this.window });
    table(this.bounds, ["bound", "window", "run"], names.map((name) => [name, this.window?.[name] ?? 0, run?.[name] ?? 0]));
  }
}
