// The axes of a chart: round figures, labels that fit, thresholds with their names, marks of applies and events.

import { clock, exactly, shown, tick as onAxis } from "/web/units.js";
import { word } from "/web/words.js";

const SVG = "http://www.w3.org/2000/svg";
const FONT = 11;
const GAP = 14;
/** The room that an event's words get. */
const WORDS_WIDTH = 90;
const COUNTS = ["none", "short"];
const ruler = document.createElement("canvas").getContext("2d");

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** The width of a text as the browser will draw it, in the page's font. */
export function widthOf(text, size = FONT) {
  ruler.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  return ruler.measureText(text).width;
}

/** A text of the chart; one wider than `room` ends in … and has the whole as its title. */
function label(text, attributes, room) {
  const made = svg("text", attributes);
  let cut = text;
  while (cut.length > 1 && widthOf(cut) > room) cut = `${cut.replace(/…$/u, "").slice(0, -1)}…`;
  made.textContent = cut;
  if (cut !== text) made.append(title(text));
  return made;
}

function title(text) {
  const made = svg("title");
  made.textContent = text;
  return made;
}

const given = (value) => value !== null && value !== undefined;

/** A span of round numbers around what is shown; of counts, whole ones. */
export function scale(panel, series) {
  const all = series.flatMap((s) => s.values).filter(given);
  let low = panel.min ?? Math.min(...all);
  let high = Math.max(...all, panel.min ?? -Infinity);
  // A threshold is shown where it is not so far off that the line would be flat.
  for (const bound of [panel.warning, panel.critical]) {
    if (given(bound) && bound > low && bound <= 2.5 * high) high = Math.max(high, bound * 1.05);
  }
  if (given(panel.max) && high > 0.4 * panel.max) high = panel.max;
  if (panel.bad === "below") low = Math.min(low, ...[panel.critical, panel.warning].filter(given));
  if (!Number.isFinite(low) || !Number.isFinite(high)) return { low: 0, high: 1, ticks: [0, 0.5, 1] };
  if (high === low) high = low + (Math.abs(low) || 1);
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const counts = COUNTS.includes(panel.unit) && all.every(Number.isInteger);
  let step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough && !(counts && n > 1 && !Number.isInteger(n)));
  if (counts) step = Math.max(1, step);
  low = Math.floor(low / step + 1e-9) * step;
  const top = Math.ceil(high / step - 1e-9) * step;
  const ticks = [];
  for (let n = 0; low + n * step <= top + step / 2; n += 1) ticks.push(low + n * step);
  return { low, high: top, ticks };
}

/** The room that the figures at the left need. */
export function leftOf(ticks, unit) {
  return Math.ceil(Math.max(24, ...ticks.map((tick) => widthOf(onAxis(tick, unit))))) + 12;
}

/** The figures at the left with their lines, and the times below, as many as have room. */
export function drawAxes(chart, { ticks, unit, times, x, y, left, right, bottom }) {
  for (const tick of ticks) {
    chart.append(svg("line", { x1: left, x2: right, y1: y(tick), y2: y(tick), class: "grid" }));
    const text = svg("text", { x: left - 8, y: y(tick) + 4, class: "axis end" });
    text.textContent = onAxis(tick, unit);
    chart.append(text);
  }
  const span = times[times.length - 1] - times[0];
  const widest = Math.max(widthOf(clock(times[0], span)), widthOf(clock(times[times.length - 1], span))) + GAP;
  // Those at both ends stand inside, thus two labels have one and a half times the room of one between them.
  const marks = Math.max(1, Math.min(6, Math.floor((right - left - widest) / widest), times.length - 1));
  for (let n = 0; n <= marks; n += 1) {
    const at = Math.round((n / marks) * (times.length - 1));
    const text = svg("text", { x: x(at), y: bottom + 17, class: `axis ${n === 0 ? "" : n === marks ? "end" : "middle"}` });
    text.textContent = clock(times[at], span);
    chart.append(text);
  }
}

/** Lines of the thresholds with their names and figures; the worse one's at the right, so they don't meet. */
export function drawThresholds(chart, panel, { low, high, y, left, right, top }) {
  for (const [name, bound] of [["warn", panel.warning], ["bad", panel.critical]]) {
    if (!given(bound) || bound < low || bound > high) continue;
    const words = `${word(name === "warn" ? "warning" : "criticalBound")} ${shown(bound, panel.unit)}`;
    const above = y(bound) - 4 > top + FONT ? y(bound) - 4 : y(bound) + FONT + 2;
    const line = svg("line", { x1: left, x2: right, y1: y(bound), y2: y(bound), class: `threshold ${name}` }, title(words));
    const place = name === "warn" ? { x: left + 4, class: "axis bound warn" } : { x: right - 4, class: "axis bound bad end" };
    chart.append(line, label(words, { ...place, y: above }, (right - left) / 2 - GAP));
  }
}

/** What an apply, or an event, which has a text, was. */
export function markWords(mark) {
  const parts = mark.text === undefined
    ? [`${word("applied")} @${mark.number}`, exactly(mark.time), mark.user, mark.command, word("results")[mark.result] ?? mark.result]
    : [word("event"), exactly(mark.time), mark.text, mark.service, mark.host, mark.by];
  return parts.filter(Boolean).join(" · ");
}

/** Where something was changed: a line from top to bottom, with a number or, above it, a few words where these have room. */
export function drawMarks(chart, marks, { times, left, right, top, bottom }) {
  const first = times[0];
  const last = times[times.length - 1];
  const free = { apply: -Infinity, event: -Infinity };
  for (const mark of marks) {
    if (mark.time < first || mark.time > last || last === first) continue;
    const at = left + ((mark.time - first) / (last - first)) * (right - left);
    const kind = mark.text === undefined ? "apply" : "event";
    const failed = kind === "apply" && mark.result !== "ok";
    const drawn = svg("g", { class: `${kind} ${failed ? "failed" : ""}` }, title(markWords(mark)), svg("line", { x1: at, x2: at, y1: top, y2: bottom }));
    const text = mark.text ?? `@${mark.number}`;
    const width = Math.min(widthOf(text), WORDS_WIDTH);
    const from = at + 3 + width > right ? at - 3 - width : at + 3;
    if (from > free[kind] && from >= left) {
      drawn.append(label(text, { x: from, y: kind === "apply" ? bottom - 4 : bottom - GAP - 4, class: "axis" }, width));
      free[kind] = from + width + 4;
    }
    chart.append(drawn);
  }
}
