// Panels as SVG: lines over time, a number with its recent course, a gauge, bars.

import { clock, exactly, shown, tick as onAxis } from "/web/units.js";
import { element, local, word } from "/web/words.js";

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = 8;
const MARGIN = { left: 58, right: 10, top: 8, bottom: 22 };

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function level(panel, value) {
  if (value === null || value === undefined) return "";
  const beyond = (bound) => bound !== null && bound !== undefined && (panel.bad === "below" ? value < bound : value >= bound);
  if (beyond(panel.critical)) return "bad";
  if (beyond(panel.warning)) return "warn";
  return panel.critical === null && panel.warning === null ? "" : "good";
}

function last(values) {
  for (let n = values.length - 1; n >= 0; n -= 1) if (values[n] !== null && values[n] !== undefined) return values[n];
  return null;
}

/** A span of round numbers around what is shown. */
function scale(panel, series) {
  const all = series.flatMap((s) => s.values).filter((v) => v !== null && v !== undefined);
  let low = panel.min ?? Math.min(...all);
  let high = Math.max(...all, panel.min ?? -Infinity);
  // A threshold is shown where it is not so far off that the line would be flat.
  for (const bound of [panel.warning, panel.critical]) {
    if (bound !== null && bound !== undefined && bound > low && bound <= 2.5 * high) high = Math.max(high, bound * 1.05);
  }
  if (panel.max !== null && panel.max !== undefined && high > 0.4 * panel.max) high = panel.max;
  if (panel.bad === "below") low = Math.min(low, ...[panel.critical, panel.warning].filter((b) => b !== null && b !== undefined));
  if (!Number.isFinite(low) || !Number.isFinite(high)) return { low: 0, high: 1, ticks: [0, 0.5, 1] };
  if (high === low) high = low + (Math.abs(low) || 1);
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough);
  low = Math.floor(low / step + 1e-9) * step;
  const top = Math.ceil(high / step - 1e-9) * step;
  const ticks = [];
  for (let n = 0; low + n * step <= top + step / 2; n += 1) ticks.push(low + n * step);
  return { low, high: top, ticks };
}

function path(values, x, y) {
  let drawn = "";
  let pen = false;
  values.forEach((value, n) => {
    if (value === null || value === undefined) {
      pen = false;
      return;
    }
    drawn += `${pen ? "L" : "M"}${x(n).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = true;
  });
  return drawn;
}

/** One value between two gaps has no line; it is drawn as a point. */
function points(values, x, y, colour) {
  return values.flatMap((value, n) => {
    const alone = value !== null && value !== undefined && (values[n - 1] ?? null) === null && (values[n + 1] ?? null) === null;
    return alone ? [svg("circle", { cx: x(n), cy: y(value), r: 2.5, class: `dot ${colour}` })] : [];
  });
}

function legend(panel, series) {
  const list = element("ul", "legend");
  series.forEach((s, n) => {
    const item = element("li");
    const mark = element("span", `mark c${n % COLOURS}`);
    item.append(mark, element("span", "name", local(s.legend) || local(panel.title)), element("span", "number", shown(last(s.values), panel.unit)));
    list.append(item);
  });
  return list;
}

function timeseries(host, panel, times, series, height) {
  const width = Math.max(host.clientWidth, 220);
  const { low, high, ticks } = scale(panel, series);
  const inner = { w: width - MARGIN.left - MARGIN.right, h: height - MARGIN.top - MARGIN.bottom };
  const x = (n) => MARGIN.left + (times.length > 1 ? (n / (times.length - 1)) * inner.w : inner.w);
  const y = (value) => MARGIN.top + inner.h - ((value - low) / (high - low)) * inner.h;
  const span = times[times.length - 1] - times[0];
  const summary = series.map((s) => `${local(s.legend)} ${shown(last(s.values), panel.unit)}`).join(", ");
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${local(panel.title)}: ${summary}`, tabindex: 0, class: "chart" });
  for (const tick of ticks) {
    chart.append(svg("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick), class: "grid" }));
    const label = svg("text", { x: MARGIN.left - 8, y: y(tick) + 4, class: "axis end" });
    label.textContent = onAxis(tick, panel.unit);
    chart.append(label);
  }
  const marks = Math.max(1, Math.min(6, Math.floor(inner.w / 90), times.length - 1));
  for (let n = 0; n <= marks; n += 1) {
    const at = Math.round((n / marks) * (times.length - 1));
    const label = svg("text", { x: x(at), y: height - 5, class: `axis ${n === 0 ? "" : n === marks ? "end" : "middle"}` });
    label.textContent = clock(times[at], span);
    chart.append(label);
  }
  for (const [name, bound] of [["warn", panel.warning], ["bad", panel.critical]]) {
    if (bound === null || bound === undefined || bound < low || bound > high) continue;
    chart.append(svg("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(bound), y2: y(bound), class: `threshold ${name}` }));
  }
  series.forEach((s, n) => {
    const line = path(s.values, x, y);
    if (series.length === 1 && line) {
      const first = s.values.findIndex((v) => v !== null && v !== undefined);
      const end = s.values.findLastIndex((v) => v !== null && v !== undefined);
      const whole = s.values.slice(first, end + 1).every((v) => v !== null && v !== undefined);
      if (whole) chart.append(svg("path", { d: `${line}L${x(end)} ${y(low)}L${x(first)} ${y(low)}Z`, class: `area c${n % COLOURS}` }));
    }
    chart.append(svg("path", { d: line, class: `line c${n % COLOURS}` }), ...points(s.values, x, y, `c${n % COLOURS}`));
  });
  crosshair(host, chart, panel, times, series, x, y, height);
  host.append(chart, legend(panel, series));
}

function crosshair(host, chart, panel, times, series, x, y, height) {
  const line = svg("line", { y1: MARGIN.top, y2: height - MARGIN.bottom, class: "cross", visibility: "hidden" });
  const dots = svg("g");
  chart.append(line, dots);
  const tip = element("div", "tip");
  tip.hidden = true;
  host.append(tip);
  let at = null;

  function show(n) {
    at = Math.max(0, Math.min(times.length - 1, n));
    line.setAttribute("x1", x(at));
    line.setAttribute("x2", x(at));
    line.setAttribute("visibility", "visible");
    const rows = series.flatMap((s, k) => {
      const value = s.values[at];
      if (value === null || value === undefined) return [];
      return [[k, s, value]];
    });
    dots.replaceChildren(...rows.map(([k, , value]) => svg("circle", { cx: x(at), cy: y(value), r: 3.5, class: `dot c${k % COLOURS}` })));
    tip.replaceChildren(element("strong", "", exactly(times[at])), ...rows.map(([k, s, value]) => {
      const row = element("div");
      row.append(element("span", `mark c${k % COLOURS}`), ` ${local(s.legend)} `, element("b", "", shown(value, panel.unit)));
      return row;
    }));
    if (rows.length === 0) tip.append(element("div", "dim", word("noData")));
    tip.classList.toggle("left", x(at) > chart.clientWidth / 2);
    tip.hidden = false;
  }
  function hide() {
    at = null;
    line.setAttribute("visibility", "hidden");
    dots.replaceChildren();
    tip.hidden = true;
  }
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const share = (event.clientX - box.left - MARGIN.left) / (box.width - MARGIN.left - MARGIN.right);
    show(Math.round(share * (times.length - 1)));
  });
  chart.addEventListener("pointerleave", hide);
  chart.addEventListener("blur", hide);
  chart.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -times.length, End: times.length };
    if (event.key === "Escape") hide();
    if (!(event.key in steps)) return;
    event.preventDefault();
    show((at ?? times.length - 1) + steps[event.key]);
  });
}

function sparkline(values, width, height) {
  const present = values.filter((v) => v !== null && v !== undefined);
  if (present.length < 2) return null;
  const low = Math.min(...present);
  const high = Math.max(...present);
  const x = (n) => (n / (values.length - 1)) * width;
  const y = (value) => (high === low ? height / 2 : height - 3 - ((value - low) / (high - low)) * (height - 6));
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "spark", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("path", { d: path(values, x, y), class: "line c0" }));
}

function stat(host, panel, times, series) {
  for (const s of series.slice(0, 6)) {
    const value = last(s.values);
    const box = element("div", `stat ${level(panel, value)}`);
    const name = local(s.legend);
    if (panel.shows === "name") {
      box.append(element("span", "big", name), element("span", "dim", shown(value, panel.unit)));
    } else {
      box.append(element("span", "big", shown(value, panel.unit)));
      if (series.length > 1) box.append(element("span", "dim", name));
    }
    host.append(box);
  }
  if (series.length === 1 && panel.shows !== "name") {
    const line = sparkline(series[0].values, 240, 36);
    if (line) host.append(line);
  }
}

function gauge(host, panel, series) {
  const row = element("div", "gauges");
  for (const s of series.slice(0, 4)) {
    const value = last(s.values);
    const low = panel.min ?? 0;
    const high = panel.max ?? Math.max(1, value ?? 1);
    const share = value === null ? 0 : Math.max(0, Math.min(1, (value - low) / (high - low)));
    const point = (part, r) => [100 - r * Math.cos(part * Math.PI), 100 - r * Math.sin(part * Math.PI)].map((n) => n.toFixed(2)).join(" ");
    const arc = (from, to) => `M${point(from, 80)}A80 80 0 0 1 ${point(to, 80)}`;
    const drawn = svg("svg", { viewBox: "0 0 200 116", class: "gauge", role: "img", "aria-label": `${local(panel.title)}: ${shown(value, panel.unit)}` });
    drawn.append(svg("path", { d: arc(0, 1), class: "track" }));
    if (share > 0.005) drawn.append(svg("path", { d: arc(0, share), class: `value ${level(panel, value) || "plain"}` }));
    const text = svg("text", { x: 100, y: 96, class: "big middle" });
    text.textContent = shown(value, panel.unit);
    drawn.append(text);
    const box = element("figure");
    box.append(drawn);
    if (series.length > 1) box.append(element("figcaption", "dim", local(s.legend)));
    row.append(box);
  }
  host.append(row);
}

function bargauge(host, panel, series) {
  const values = series.map((s) => last(s.values));
  const high = panel.max ?? Math.max(...values.map((v) => v ?? 0), 0);
  const list = element("ul", "bars");
  series.forEach((s, n) => {
    const item = element("li");
    const share = high > 0 ? Math.max(0, (values[n] ?? 0) / high) * 100 : 0;
    const bar = svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" });
    bar.append(svg("rect", { width: 100, height: 8, class: "track" }), svg("rect", { width: Math.min(share, 100), height: 8, class: level(panel, values[n]) || `c${n % COLOURS}` }));
    item.append(element("span", "name", local(s.legend)), element("span", "number", shown(values[n], panel.unit)), bar);
    list.append(item);
  });
  host.append(list);
}

/** Where there are many lines, those that are 0 throughout say less than they hide. */
function told(series) {
  if (series.length <= 6) return series;
  const some = series.filter((s) => s.values.some((v) => v));
  return some.length ? some : series;
}

/** Draws one panel's figures into `host`. */
export function draw(host, panel, times, series, height) {
  host.replaceChildren();
  const now = (s) => (panel.shows === "name" ? s.values.at(-1) : last(s.values));
  const present = series.filter((s) => (now(s) ?? null) !== null);
  if (present.length === 0) {
    host.append(element("p", "empty dim", word("noData")));
    return;
  }
  if (panel.kind === "timeseries") timeseries(host, panel, times, told(present), height);
  else if (panel.kind === "stat") stat(host, panel, times, present);
  else if (panel.kind === "gauge") gauge(host, panel, present);
  else bargauge(host, panel, present);
}
