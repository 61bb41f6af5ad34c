// One outcome: of a scan the waterfall from base to notional, of a plane or a reject what it was.

import { el, pairs, short, span, time } from "./text.js";

const LABEL = { esof_fanin: "esof" };

export function outcome(rows) {
  return rows.map((row) => el("article", {}, ...(row.steps ? scan(row) : other(row))));
}

function scan(row) {
  const decided = row.outcome === "decision";
  const most = Math.max(row.raw, row.cap, row.leverage, ...row.steps.map((step) => step.product));
  const bar = (value, kind) => {
    const fill = el("i", { className: kind });
    fill.style.width = `${(100 * value) / most}%`;
    return el("td", { className: "bar" }, fill);
  };
  const line = (sign, name, value, product, kind) => el("tr", { className: kind },
    el("td", { textContent: sign }), el("th", { textContent: name, scope: "row" }), el("td", { className: "n", textContent: value }),
    el("td", { className: "n", textContent: String(product) }), bar(product, kind));
  const steps = row.steps.map((step, at) =>
    line(at ? "×" : "", LABEL[step.part] ?? step.part, String(step.value), step.product, "step"));
  const facts = el("dl");
  pairs(facts, [["vel_div", `${row.vel_div}, strength ${row.strength}`], ["w750", row.w750 === null ? "absent" : String(row.w750)],
    ["direction", row.dc_status], ["acb", `${row.acb_boost} boost × ${row.meta_boost} meta × ${row.mc_scale} mc`],
    ["posture", row.posture || "never seen"],
    [decided ? "marks" : "did not decide", row.reasons.join(", ") || "none"]]);
  const sized = el("dl");
  pairs(sized, [["notional", `(${row.capital_usd} × ${row.fraction}) × leverage = ${row.notional_usd} USD`],
    ["of capital", String(row.notional_fraction)],
    ...(row.sc_mult === 1 ? [] : [["after the fan-in", `${row.leverage_fanin} × ${row.sc_mult}`]]), ["place", `${row.topic} / ${row.partition} @ ${row.log_offset}, segment ${row.segment}`],
    ["params", row.params_hash]]);
  return [
    el("h2", { textContent: decided ? `SHORT ${row.asset}` : "No decision" }),
    el("p", { className: "note", textContent: `scan ${row.scan_id} of ${row.stream}, ${time(row.ts_ms)} UTC` }),
    facts,
    el("div", { className: "wide" }, el("table", { className: "waterfall" },
      el("thead", {}, el("tr", {}, ...["", "", "lane", "product", ""].map((name) => el("th", { textContent: name })))),
      el("tbody", {}, ...steps, line("=", "raw", "", row.raw, "raw"), line("", "cap", "", row.cap, "cap"),
        line("", "leverage", `bound ${row.bound}`, row.leverage, "leverage")))),
    sized, ...planes(row),
  ];
}

function planes(row) {
  const list = el("dl");
  pairs(list, row.planes.map((plane) => [plane.name, `${plane.value}  ${span(plane.age_s)} old, offset ${plane.at_offset}`]));
  const gone = row.planes_dropped_up_to;
  return [
    el("h3", { textContent: "Planes as of this scan" }),
    row.planes.length ? list : el("p", { className: "note", textContent: "none is stored from before it" }),
    gone === null ? null : el("p", { className: "note", textContent: `planes up to offset ${gone} were dropped by age` }),
  ];
}

function other(row) {
  const list = el("dl");
  pairs(list, Object.entries(row).filter(([name]) => name !== "outcome").map(([name, value]) =>
    [name, typeof value === "number" ? short(value) : typeof value === "object" ? JSON.stringify(value) : String(value)]));
  return [el("h2", { textContent: row.outcome === "plane" ? `Plane ${row.name}` : `Reject ${row.code}` }), list];
}
