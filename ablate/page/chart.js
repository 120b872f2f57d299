"use strict";
// Line charts as inline SVG, drawn again when their width changes. Text is only ever set as text.

const SVG = "http://www.w3.org/2000/svg";
const MINUS = "\u2212";

function svg(name, attributes = {}, parent = null, text = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

function html(name, attributes = {}, parent = null, text = null) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

const short = (value) => {
  if (value !== 0 && (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3)) return value.toExponential(1).replace("e+", "e").replace(".0e", "e").replace(/^-/, MINUS);
  return String(Number(value.toPrecision(4))).replace("-", MINUS);
};
const percent = (value) => (100 * value).toFixed(Math.abs(value) < 0.0995 ? 2 : 1).replace("-", MINUS) + " %";

const percentTick = (value) => String(Number((100 * value).toPrecision(3))).replace("-", MINUS) + " %";

function linearTicks(low, high, count) {
  const raw = (high - low) / Math.max(count, 1), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((part) => part * power).find((candidate) => candidate >= raw * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

function logTicks(low, high) {
  const ticks = [], first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  const parts = last - first < 2 ? [1, 2, 5] : [1];
  for (let power = first - 1; power <= last; power++)
    for (const part of parts) {
      const tick = Number((part * 10 ** power).toPrecision(6));
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  return ticks;
}

function interpolated(xs, ys, x) {
  if (x < xs[0] || x > xs[xs.length - 1]) return null;
  let low = 0, high = xs.length - 1;
  while (high - low > 1) { const middle = (low + high) >> 1; if (xs[middle] <= x) low = middle; else high = middle; }
  if (xs[high] === xs[low]) return ys[low];
  return ys[low] + ((x - xs[low]) / (xs[high] - xs[low])) * (ys[high] - ys[low]);
}

// One series of several seeds: their mean at the places of the first, and how far they spread.
function overSeeds(curves) {
  const xs = curves[0].x, ys = [], low = [], high = [], kept = [];
  for (let i = 0; i < xs.length; i++) {
    const values = curves.map((curve) => interpolated(curve.x, curve.y, xs[i])).filter((value) => value !== null);
    if (values.length < curves.length) continue;
    kept.push(xs[i]);
    ys.push(values.reduce((sum, value) => sum + value, 0) / values.length);
    low.push(Math.min(...values)); high.push(Math.max(...values));
  }
  return { xs: kept, ys, low, high, seeds: curves.length };
}

// spec: {title, series: [{label, colour, dash, teacher, xs, ys, low, high, dots}], x, y: {label, log, format, from, to}}
class Chart {
  constructor(figure) {
    this.figure = figure; this.hidden = new Set(); this.focus = null; this.place = null;
    new ResizeObserver(() => { if (this.spec && this.figure.clientWidth && Math.abs(this.figure.clientWidth - this.width) > 1) this.draw(); }).observe(figure);
  }

  show(spec) { this.spec = spec; this.place = null; this.draw(); }

  visible() { return this.spec.series.filter((series) => !this.hidden.has(series.label) && series.xs.length); }

  draw(width = this.figure.clientWidth) {
    const { spec, figure } = this;
    this.width = width;
    figure.replaceChildren();
    if (spec.title) html("figcaption", {}, figure, spec.title);
    const W = Math.max(width, 240), H = Math.round(Math.min(Math.max(W * 0.56, 230), 400));
    const box = { left: 54, right: W - 12, top: 12, bottom: H - 42 };
    const shown = this.visible().length ? this.visible() : spec.series;
    const x = this.scale(spec.x, shown.flatMap((s) => [...s.xs, ...(s.dots || []).map((dot) => dot[0])]), box.left, box.right);
    const y = this.scale(spec.y, shown.flatMap((s) => [...s.ys, ...(s.low || []), ...(s.high || []), ...(s.dots || []).map((dot) => dot[1])]), box.bottom, box.top);
    const plot = svg("svg", { class: "plot", viewBox: `0 0 ${W} ${H}`, width: W, height: H, tabindex: 0, role: "img", "aria-label": `${spec.title || ""} ${spec.y.label} against ${spec.x.label}` }, figure);
    for (const tick of y.ticks(Math.round(H / 60))) {
      svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y.at(tick), y2: y.at(tick) }, plot);
      svg("text", { x: box.left - 8, y: y.at(tick) + 4, "text-anchor": "end" }, plot, (spec.y.tick || spec.y.format)(tick));
    }
    for (const tick of x.ticks(Math.max(2, Math.round(W / 110)))) {
      svg("line", { class: "frame", x1: x.at(tick), x2: x.at(tick), y1: box.bottom, y2: box.bottom + 4 }, plot);
      svg("text", { x: x.at(tick), y: box.bottom + 18, "text-anchor": "middle" }, plot, (spec.x.tick || spec.x.format)(tick));
    }
    svg("line", { class: "frame", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }, plot);
    svg("text", { x: (box.left + box.right) / 2, y: H - 6, "text-anchor": "middle" }, plot, spec.x.label);
    for (const series of this.visible()) this.line(plot, series, x, y);
    this.cross = svg("g", {}, plot);
    this.tip = html("div", { class: "tip", role: "status", hidden: "" }, figure);
    this.legend(plot);
    this.listen(plot, x, y, box, W);
    this.plot = plot;
  }

  scale(axis, values, from, to) {
    const turn = axis.log ? Math.log10 : (value) => value;
    const known = values.filter((value) => Number.isFinite(value) && (!axis.log || value > 0));
    let low = axis.from ?? Math.min(...known), high = axis.to ?? Math.max(...known);
    if (!known.length) { low = axis.log ? 0.1 : 0; high = 1; }
    if (low === high) { low = axis.log ? low / 2 : low - (Math.abs(low) * 0.05 || 0.5); high = axis.log ? high * 2 : high + (Math.abs(high) * 0.05 || 0.5); }
    if (axis.pad) { const room = (turn(high) - turn(low)) * axis.pad; low = axis.log ? 10 ** (turn(low) - room) : low - room; high = axis.log ? 10 ** (turn(high) + room) : high + room; }
    const at = (value) => { const share = (turn(axis.log ? Math.max(value, low) : value) - turn(low)) / (turn(high) - turn(low)); return Math.round((from + share * (to - from)) * 10) / 10; };
    return { at, ticks: (count) => axis.ticks ? axis.ticks.filter((tick) => tick >= low && tick <= high) : axis.log ? logTicks(low, high) : linearTicks(low, high, count) };
  }

  line(plot, series, x, y) {
    const classes = series.teacher ? "series teacher-series" : `series c${series.colour}`;
    const group = svg("g", { class: classes }, plot);
    group.dataset.label = series.label;
    if (series.label === this.focus) group.classList.add("focus");
    const path = (xs, ys) => xs.map((value, i) => `${x.at(value)} ${y.at(ys[i])}`).join("L");
    if (series.low && series.seeds > 1) svg("path", { class: "band", d: `M${path(series.xs, series.high)}L${path([...series.xs].reverse(), [...series.low].reverse())}Z` }, group);
    svg("path", { class: series.teacher ? "curve is-teacher" : `curve d${series.dash}`, d: `M${path(series.xs, series.ys)}` }, group);
    for (const [dotX, dotY] of series.dots || []) svg("circle", { class: "point-dot", cx: x.at(dotX), cy: y.at(dotY), r: 3.6 }, group);
  }

  legend(plot) {
    const list = html("ul", { class: "legend" }, this.figure);
    for (const series of this.spec.series) {
      const button = html("button", { type: "button", "aria-pressed": String(!this.hidden.has(series.label)), class: series.teacher ? "teacher-line" : "" }, html("li", {}, list));
      const mark = svg("svg", { class: `swatch ${series.teacher ? "ct" : `c${series.colour}`}`, viewBox: "0 0 22 10", width: 22, height: 10, "aria-hidden": "true" }, button);
      svg("line", { class: `line ${series.teacher ? "" : `d${series.dash}`}`, x1: 1, y1: 5, x2: 21, y2: 5 }, mark);
      html("span", {}, button, series.label);
      button.addEventListener("click", () => { if (!this.hidden.delete(series.label)) this.hidden.add(series.label); this.focus = null; this.draw(); });
      const focus = (on) => {
        this.focus = on ? series.label : null;
        plot.classList.toggle("focused", on && !this.hidden.has(series.label));
        for (const group of plot.querySelectorAll(".series")) group.classList.toggle("focus", on && group.dataset.label === series.label);
      };
      button.addEventListener("pointerenter", (event) => { if (event.pointerType !== "touch") focus(true); });
      button.addEventListener("pointerleave", () => focus(false));
    }
  }

  listen(plot, x, y, box, W) {
    const places = [...new Set(this.visible().flatMap((series) => series.xs))].sort((a, b) => a - b);
    const hide = () => { this.place = null; this.tip.hidden = true; this.cross.replaceChildren(); };
    const move = (index) => {
      if (!places.length) return;
      this.place = Math.min(Math.max(index, 0), places.length - 1);
      const value = places[this.place];
      const found = this.visible().map((series) => ({ series, y: interpolated(series.xs, series.ys, value) })).filter((at) => at.y !== null).sort((a, b) => b.y - a.y);
      this.cross.replaceChildren();
      svg("line", { class: "cross", x1: x.at(value), x2: x.at(value), y1: box.top, y2: box.bottom }, this.cross);
      this.tip.replaceChildren();
      html("b", {}, this.tip, `${this.spec.x.label.replace(/ \(.*/, "")} ${this.spec.x.format(value)}`);
      const rows = html("table", {}, this.tip);
      for (const at of found.slice(0, 10)) {
        svg("circle", { class: `at ${at.series.teacher ? "ct" : `c${at.series.colour}`}`, cx: x.at(value), cy: y.at(at.y), r: 4 }, this.cross);
        const row = html("tr", {}, rows);
        const mark = svg("svg", { class: `swatch ${at.series.teacher ? "ct" : `c${at.series.colour}`}`, viewBox: "0 0 10 10", width: 10, height: 10 }, html("td", {}, row));
        svg("circle", { class: "dot", cx: 5, cy: 5, r: 4 }, mark);
        html("td", {}, row, at.series.label);
        html("td", { class: "num" }, row, this.spec.y.format(at.y));
      }
      this.tip.hidden = false;
      const shown = plot.getBoundingClientRect(), left = (x.at(value) / W) * shown.width;
      const room = this.tip.offsetWidth;
      this.tip.style.left = `${Math.max(0, left + 14 + room > shown.width ? left - room - 14 : left + 14)}px`;
      this.tip.style.top = `${shown.top - this.figure.getBoundingClientRect().top + 10}px`;
    };
    plot.addEventListener("pointermove", (event) => {
      const shown = plot.getBoundingClientRect(), at = ((event.clientX - shown.left) / shown.width) * W;
      let best = 0;
      for (let i = 1; i < places.length; i++) if (Math.abs(x.at(places[i]) - at) < Math.abs(x.at(places[best]) - at)) best = i;
      move(best);
    });
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      move(Number.isFinite(step) ? (this.place ?? (step > 0 ? -1 : places.length)) + step : step < 0 ? 0 : places.length - 1);
    });
  }
}
