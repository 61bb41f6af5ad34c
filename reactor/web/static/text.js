// Texts and elements: how a figure is written, and how little of the page is touched to write it.

export function el(tag, props = {}, ...children) {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...children.filter((each) => each !== null && each !== undefined));
  return made;
}

export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A figure of the journal: a few digits are shown, the whole value is its title.
export function figure(node, value, digits) {
  put(node, short(value, digits));
  const whole = value === null || value === undefined ? "" : String(value);
  if (node.title !== whole) node.title = whole;
}

export function short(value, digits = 5) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return count(value);
  const size = Math.abs(value);
  return size >= 1e6 ? count(Math.round(value)) : size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(digits)));
}

export function count(value) {
  return value === null || value === undefined ? "–" : value.toLocaleString("en-US");
}

export function share(value) {
  if (value === null || value === undefined) return "–";
  return `${(value * 100).toFixed(1)} %`;
}

export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0) return `-${span(-seconds)}`;
  const whole = Math.floor(seconds);
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : seconds < 10 ? `${seconds.toFixed(1)} s` : `${whole} s`;
}

export function ago(seconds) {
  const [unit, size] = [["d", 86400], ["h", 3600], ["min", 60]].find(([, size]) => seconds >= size) ?? ["s", 1];
  return `${size === 1 && seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds / size)} ${unit} ago`;
}

export function time(at) {
  return new Date(at).toISOString().replace("T", " ").slice(0, 19);
}

// Rows of a <dl>: kept while their names stay, so that nothing flickers and nothing piles up.
export function pairs(list, entries) {
  const names = entries.map(([name]) => name).join("\n");
  if (list.dataset.names !== names) {
    list.dataset.names = names;
    list.replaceChildren(...entries.flatMap(([name]) => [el("dt", { textContent: name }), el("dd")]));
  }
  entries.forEach(([, value], at) => {
    const cell = list.children[2 * at + 1];
    if (typeof value === "number") figure(cell, value);
    else put(cell, value ?? "–");
  });
}

// Rows of a <table>, likewise; a cell is a text or a number.
export function table(node, head, rows, digits) {
  if (node.rows.length !== rows.length + 1 || node.dataset.head !== head.join()) {
    node.dataset.head = head.join();
    node.replaceChildren(
      el("thead", {}, el("tr", {}, ...head.map((name) => el("th", { textContent: name, scope: "col" })))),
      el("tbody", {}, ...rows.map(() => el("tr", {}, ...head.map(() => el("td"))))),
    );
  }
  rows.forEach((row, at) => row.forEach((value, place) => {
    const cell = node.rows[at + 1].cells[place];
    cell.classList.toggle("n", typeof value === "number" || value === null);
    if (typeof value === "number") figure(cell, value, digits);
    else put(cell, value ?? "–");
  }));
}
