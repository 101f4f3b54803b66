// Panels as SVG: lines over time, a number with its recent course, a gauge, bars.

import { drawAxes, drawMarks, drawThresholds, leftOf, scale, svg, widthOf } from "/web/axis.js";
import { pick } from "/web/pick.js";
import { shown } from "/web/units.js";
import { element, local, word } from "/web/words.js";

const COLOURS = 8;
const GAUGE_FONT = 28;
const GAUGE_ROOM = 130;
const MARGIN = { right: 10, top: 10, bottom: 22 };

export function level(panel, value) {
  if (value === null || value === undefined) return "";
  const beyond = (bound) => bound !== null && bound !== undefined && (panel.bad === "below" ? value < bound : value >= bound);
  if (beyond(panel.critical)) return "bad";
  if (beyond(panel.warning)) return "warn";
  return panel.critical === null && panel.warning === null ? "" : "good";
}

/** How many of the newest looks may miss a series that still is. */
const MISSED = 3;

function last(values) {
  for (let n = values.length - 1; n >= 0; n -= 1) if (values[n] !== null && values[n] !== undefined) return values[n];
  return null;
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

/** A line's name for addresses: the same in both languages. */
function keyOf(series) {
  return series.legend.en;
}

/** A click shows one line alone, and again all; with Ctrl, Shift or ⌘, or by the space bar, it turns that one on or off. */
function legend(panel, lines, visible, choose) {
  const list = element("ul", "legend");
  const all = lines.map(({ series }) => keyOf(series));
  const now = visible.map(({ series }) => keyOf(series));
  for (const { series, colour } of lines) {
    const key = keyOf(series);
    const on = now.includes(key);
    const item = element("li");
    const parts = [element("span", `mark c${colour % COLOURS}`), element("span", "name", local(series.legend) || local(panel.title)), element("span", "number", shown(last(series.values), panel.unit))];
    if (!choose || lines.length === 1) {
      item.append(...parts);
      list.append(item);
      continue;
    }
    const button = Object.assign(element("button", "entry"), { type: "button", title: word("legendHow") });
    button.dataset.series = key;
    button.setAttribute("aria-pressed", String(on));
    button.append(...parts);
    const some = (names) => choose(names, names.length === 0 || names.length === all.length);
    const only = () => some(on && now.length === 1 ? all : [key]);
    const toggle = () => {
      const next = on ? now.filter((name) => name !== key) : all.filter((name) => name === key || now.includes(name));
      some(next);
    };
    button.addEventListener("click", (event) => (event.ctrlKey || event.shiftKey || event.metaKey ? toggle : only)());
    button.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
    button.addEventListener("keyup", (event) => { if (event.key === " ") event.preventDefault(); });
    item.append(button);
    list.append(item);
  }
  return list;
}

function timeseries(host, panel, { times, series, applies = [], events = [] }, height, { chosen = null, choose, zoom }) {
  const width = Math.max(host.clientWidth, 220);
  const marks = [...applies, ...events].sort((one, other) => one.time - other.time);
  const lines = series.map((s, colour) => ({ series: s, colour }));
  const wanted = lines.filter((line) => chosen === null || chosen.includes(keyOf(line.series)));
  const visible = wanted.length ? wanted : lines;
  const { low, high, ticks } = scale(panel, visible.map((line) => line.series));
  const place = { left: leftOf(ticks, panel.unit), right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
  const wide = place.right - place.left;
  const x = (n) => place.left + (times.length > 1 ? (n / (times.length - 1)) * wide : wide);
  const y = (value) => place.bottom - ((value - low) / (high - low)) * (place.bottom - place.top);
  const summary = visible.map(({ series: s }) => `${local(s.legend)} ${shown(last(s.values), panel.unit)}`).join(", ");
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${local(panel.title)}: ${summary}`, tabindex: 0, class: `chart${zoom ? " zoomable" : ""}` });
  drawAxes(chart, { ...place, ticks, unit: panel.unit, times, x, y });
  drawMarks(chart, marks, { ...place, times });
  for (const { series: { values }, colour } of visible) {
    const line = path(values, x, y);
    if (series.length === 1 && line) {
      const first = values.findIndex((v) => v !== null && v !== undefined);
      const end = values.findLastIndex((v) => v !== null && v !== undefined);
      const whole = values.slice(first, end + 1).every((v) => v !== null && v !== undefined);
      if (whole) chart.append(svg("path", { d: `${line}L${x(end)} ${y(low)}L${x(first)} ${y(low)}Z`, class: `area c${colour % COLOURS}` }));
    }
    chart.append(svg("path", { d: line, class: `line c${colour % COLOURS}` }), ...points(values, x, y, `c${colour % COLOURS}`));
  }
  drawThresholds(chart, panel, { ...place, low, high, y });
  pick(host, chart, { ...place, panel, times, lines: visible, marks, x, y, zoom });
  host.append(chart, legend(panel, lines, visible, choose));
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
    if (widthOf(text.textContent, GAUGE_FONT) > GAUGE_ROOM) {
      text.setAttribute("textLength", GAUGE_ROOM);
      text.setAttribute("lengthAdjust", "spacingAndGlyphs");
    }
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
function nonZero(series) {
  if (series.length <= 6) return series;
  const some = series.filter((s) => s.values.some((v) => v));
  return some.length ? some : series;
}

/** Draws one panel's figures (`times`, `series`, `applies`, `events`) into `host`.
 *
 * `way.zoom` and `way.choose` take the stretch and the lines that the reader wants, `way.chosen` are those
 * wanted, `way.hint` says what brings some where there are no figures.
 */
export function draw(host, panel, figures, height, way = {}) {
  const held = host.querySelector(".entry:focus")?.dataset.series;
  const focused = host.querySelector(".chart:focus") !== null;
  host.replaceChildren();
  // A bar is of now: a provider that is no longer in use ended with its last look.
  const now = (s) => (panel.shows === "name" ? s.values.at(-1) : last(panel.kind === "bargauge" ? s.values.slice(-MISSED) : s.values));
  const present = figures.series.filter((s) => (now(s) ?? null) !== null);
  if (present.length === 0) {
    const empty = element("div", "empty dim");
    empty.append(element("p", "", word("noData")));
    if (way.hint) empty.append(way.hint());
    host.append(empty);
    return;
  }
  if (panel.kind === "timeseries") timeseries(host, panel, { ...figures, series: nonZero(present) }, height, way);
  else if (panel.kind === "stat") stat(host, panel, figures.times, present);
  else if (panel.kind === "gauge") gauge(host, panel, present);
  else bargauge(host, panel, present);
  if (focused) host.querySelector(".chart")?.focus();
  if (held !== undefined) [...host.querySelectorAll(".entry")].find((entry) => entry.dataset.series === held)?.focus();
}
