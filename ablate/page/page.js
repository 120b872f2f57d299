// What moves on the page: theme, sorting, what charts show, the comparison of two runs.
const DATA = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);
const COLOURS = 7, DASHES = 4, FIRST_SHOWN = 10;
const look = (point) => ({ colour: point % COLOURS, dash: Math.floor(point / COLOURS) % DASHES });
const charts = [];
document.documentElement.classList.add("scripted");

function chartAt(id) { const chart = new Chart(by(id)); charts.push(chart); return chart; }

function choices(select, names, chosen, changed) {
  names.forEach((name, i) => html("option", { value: i }, select, name));
  if (names.length < 2) select.closest("label").hidden = true;
  select.value = String(chosen);
  select.addEventListener("change", () => changed(Number(select.value)));
  changed(chosen);
}

// Runs of every point that have a curve, in the order of the points.
function byPoint(curveOf) {
  const series = [];
  DATA.points.forEach((label, point) => {
    const curves = DATA.runs.map((run, i) => (run.point === point ? curveOf(i) : null)).filter(Boolean);
    if (curves.length) series.push({ label, ...look(point), ...overSeeds(curves) });
  });
  return series;
}

// Of many points the baseline and the best are drawn; the legend has them all.
function hideMost(chart) {
  const shown = new Set(DATA.best.slice(0, FIRST_SHOWN - 1).concat(DATA.baseline).map((point) => DATA.points[point]));
  if (DATA.points.length > FIRST_SHOWN) DATA.points.forEach((label) => { if (!shown.has(label)) chart.hidden.add(label); });
}

(function theme() {
  const root = document.documentElement, button = by("theme"), dark = matchMedia("(prefers-color-scheme: dark)");
  const now = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const tell = () => { button.textContent = now() === "dark" ? "light" : "dark"; button.setAttribute("aria-label", `show it ${button.textContent}`); };
  try { const kept = localStorage.getItem("theme"); if (kept === "dark" || kept === "light") root.dataset.theme = kept; } catch { /* a page without storage */ }
  button.hidden = false;
  button.addEventListener("click", () => { root.dataset.theme = now() === "dark" ? "light" : "dark"; try { localStorage.setItem("theme", root.dataset.theme); } catch { /* the same */ } tell(); });
  dark.addEventListener("change", tell);
  tell();
})();

(function leaderboards() {
  const boards = [...document.querySelectorAll(".board")], sort = by("sort"), metric = by("metric");
  if (!boards.length) return;
  const headers = (board) => [...board.querySelectorAll("thead th")];
  function order(board, column, direction) {
    const body = board.querySelector(".sorted"), header = headers(board)[column], text = header.dataset.sort === "text";
    const value = (row) => row.children[column].dataset.v ?? "";
    const rows = [...body.children].sort((a, b) => {
      const [first, second] = [value(a), value(b)];
      if (first === "" || second === "") return (first === "") - (second === "");
      return (direction === "ascending" ? 1 : -1) * (text ? first.localeCompare(second, "en", { numeric: true }) : Number(first) - Number(second));
    });
    body.append(...rows);
    headers(board).forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", direction);
  }
  boards.forEach((board) => headers(board).forEach((header, column) => header.querySelector("button").addEventListener("click", () => {
    const first = header.dataset.sort === "text" ? "ascending" : "descending", second = first === "ascending" ? "descending" : "ascending";
    order(board, column, header.getAttribute("aria-sort") === first ? second : first);
  })));
  const show = (chosen) => boards.forEach((board, i) => { board.hidden = i !== chosen; });
  if (metric) metric.addEventListener("change", () => show(Number(metric.value)));
  show(0);
  headers(boards[0]).forEach((header, column) => { if (!header.matches(".drawn")) html("option", { value: column }, sort, header.querySelector("button").textContent); });
  sort.value = "2";
  sort.addEventListener("change", () => boards.forEach((board) => order(board, Number(sort.value), headers(board)[sort.value].dataset.sort === "text" ? "ascending" : "descending")));
})();

if (by("learning")) {
  const chart = chartAt("learning");
  hideMost(chart);
  choices(by("quantity"), DATA.curves.names.map((name) => DATA.names[name] || name), 0, (chosen) => {
    const name = DATA.curves.names[chosen];
    chart.show({ series: byPoint((run) => DATA.curves.runs[run][name]), x: { label: "epoch", format: short }, y: { label: DATA.names[name] || name, format: DATA.names[name] ? percent : short, tick: DATA.names[name] ? percentTick : short, pad: 0.04 } });
  });
}

if (by("roc")) {
  const [roc, det, cmc] = ["roc", "det", "cmc"].map(chartAt), sets = Object.keys(DATA.rates);
  [roc, det, cmc].forEach(hideMost);
  choices(by("set"), sets, 0, (chosen) => {
    const of = DATA.rates[sets[chosen]];
    const series = (xs, runs, teacher, turn) => [
      ...byPoint((run) => runs[run] && { x: xs, y: runs[run].map(turn) }),
      ...(teacher ? [{ label: "teacher", teacher: true, xs, ys: teacher.map(turn) }] : []),
    ];
    [roc, det, cmc].forEach((chart) => chart.figure.replaceChildren());
    if (of.far) {
      const x = { label: "FAR", log: true, format: short };
      roc.show({ title: `ROC, ${sets[chosen]}`, series: series(of.far, of.runs, of.teacher, (tar) => tar), x, y: { label: "TAR", format: percent, tick: percentTick, to: 1 } });
      det.show({ title: `DET, ${sets[chosen]}`, series: series(of.far, of.runs, of.teacher, (tar) => 1 - tar), x, y: { label: "FRR", log: true, format: percent, tick: percentTick, to: 1, from: lowestRate(of) } });
    } else { roc.spec = det.spec = null; }
    if (of.ranks) {
      const ticks = [1, 2, 5, 10, 20, 50, 100].filter((rank) => rank <= of.ranks[of.ranks.length - 1]);
      cmc.show({ title: `CMC, ${sets[chosen]}`, series: series(of.ranks, of.cmc, of.teacher_cmc, (rate) => rate), x: { label: "rank", log: true, format: String, ticks }, y: { label: "probes with their mate so near", format: percent, tick: percentTick } });
    } else { cmc.spec = null; }
  });
}

// A logarithmic axis ends a little below the lowest rate that is not zero.
function lowestRate(of) {
  const rates = [...of.runs, of.teacher].filter(Boolean).flat().map((tar) => 1 - tar).filter((rate) => rate > 1e-9);
  return rates.length ? Math.min(...rates) * 0.7 : 0.001;
}

(function axes() {
  if (!DATA.axes.length) return;
  by("axes").hidden = false;
  const chart = chartAt("axis-plot");
  let axis = 0, metric = 0;
  const draw = () => {
    const key = DATA.axes[axis], name = DATA.metrics[metric], groups = new Map();
    DATA.runs.forEach((run) => {
      if (!(key in run.axes) || !(name in run.metrics)) return;
      const others = [run.case, ...Object.entries(run.axes).filter(([other]) => other !== key).map(([other, value]) => `${other.split(".").pop()}=${value}`)].filter(Boolean).join(", ") || "all";
      if (!groups.has(others)) groups.set(others, []);
      groups.get(others).push([run.axes[key], run.metrics[name]]);
    });
    const series = [...groups].map(([label, dots], i) => {
      const xs = [...new Set(dots.map((dot) => dot[0]))].sort((a, b) => a - b);
      const ys = xs.map((x) => { const here = dots.filter((dot) => dot[0] === x); return here.reduce((sum, dot) => sum + dot[1], 0) / here.length; });
      return { label, ...look(i), xs, ys, dots };
    });
    const values = [...new Set(series.flatMap((one) => one.xs))].sort((a, b) => a - b);
    const log = values[0] > 0 && values[values.length - 1] / values[0] >= 20;
    chart.show({ series, x: { label: key, log, format: short, pad: 0.05, ticks: values.length <= 8 ? values : undefined }, y: { label: DATA.names[name] || name, format: percent, tick: percentTick, pad: 0.06 } });
  };
  choices(by("axis"), DATA.axes, 0, (chosen) => { axis = chosen; draw(); });
  choices(by("axis-metric"), DATA.metrics.map((name) => DATA.names[name]), 0, (chosen) => { metric = chosen; draw(); });
})();

if (by("differing")) {
  const labels = DATA.runs.map((run) => `${DATA.points[run.point]}, seed ${run.seed}`), chosen = [0, 0];
  const ofPoint = (point) => Math.max(0, DATA.runs.findIndex((run) => run.point === point));
  const first = ofPoint(DATA.baseline), second = ofPoint(DATA.best.find((point) => point !== DATA.baseline) ?? DATA.baseline);
  const draw = () => {
    const [a, b] = chosen, [head, body] = by("differing").children, { keys, values } = DATA.options;
    [a, b].forEach((run, i) => { head.rows[0].children[i + 1].textContent = labels[run]; });
    body.replaceChildren();
    keys.forEach((key, i) => {
      if (values[a][i] === values[b][i]) return;
      const row = html("tr", {}, body);
      html("th", { scope: "row" }, row, key);
      for (const run of [a, b]) html("td", {}, row, values[run][i]);
    });
    if (!body.rows.length) html("td", { colspan: 3 }, html("tr", {}, body), a === b ? "That is one run." : "Nothing but where they lie.");
  };
  choices(by("run-a"), labels, first, (run) => { chosen[0] = run; draw(); });
  choices(by("run-b"), labels, second === first && labels.length > 1 ? (first + 1) % labels.length : second, (run) => { chosen[1] = run; draw(); });
}

// On paper everything is open, and charts have the paper's width.
let closed = [];
addEventListener("beforeprint", () => { closed = [...document.querySelectorAll("details:not([open])")]; closed.forEach((one) => { one.open = true; }); });
addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));
