// What a reader does in a chart: a value by pointer or arrow keys, a stretch by dragging or Shift and arrows.

import { markWords, svg } from "/web/axis.js";
import { exactly, shown } from "/web/units.js";
import { element, local, word } from "/web/words.js";

const COLOURS = 8;
const DRAGGED = 8;
const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };

/** `zoom(from, to)` shows a stretch, `zoom(null)` what was before; without it nothing can be chosen. */
export function pick(host, chart, { panel, times, lines, marks, x, y, left, right, top, bottom, zoom }) {
  const end = times.length - 1;
  const chosen = svg("rect", { y: top, height: bottom - top, class: "chosen", visibility: "hidden" });
  const line = svg("line", { y1: top, y2: bottom, class: "cross", visibility: "hidden" });
  const dots = svg("g");
  chart.append(chosen, line, dots);
  const tip = element("div", "tip");
  tip.hidden = true;
  host.append(tip);
  let at = null;
  let from = null;
  let pressed = null;

  function show(n) {
    at = Math.max(0, Math.min(end, n));
    line.setAttribute("x1", x(at));
    line.setAttribute("x2", x(at));
    line.setAttribute("visibility", "visible");
    const rows = lines.filter(({ series }) => (series.values[at] ?? null) !== null);
    dots.replaceChildren(...rows.map(({ series, colour }) => svg("circle", { cx: x(at), cy: y(series.values[at]), r: 3.5, class: `dot c${colour % COLOURS}` })));
    tip.replaceChildren(element("strong", "", exactly(times[at])), ...rows.map(({ series, colour }) => {
      const row = element("div");
      row.append(element("span", `mark c${colour % COLOURS}`), ` ${local(series.legend)} `, element("b", "", shown(series.values[at], panel.unit)));
      return row;
    }));
    if (rows.length === 0) tip.append(element("div", "dim", word("noData")));
    const step = end > 0 ? (times[end] - times[0]) / end : 0;
    const near = marks.filter((mark) => Math.abs(mark.time - times[at]) <= step);
    tip.append(...near.map((mark) => element("div", "dim", markWords(mark))));
    if (from !== null) tip.append(element("div", "dim", word("zoomKeys")));
    tip.classList.toggle("left", x(at) > chart.clientWidth / 2);
    tip.hidden = false;
  }

  function choose(n) {
    from ??= at ?? n;
    show(n);
    chosen.setAttribute("x", Math.min(x(from), x(at)));
    chosen.setAttribute("width", Math.abs(x(at) - x(from)));
    chosen.setAttribute("visibility", "visible");
    chart.classList.add("choosing");
  }

  function forget() {
    from = null;
    pressed = null;
    chosen.setAttribute("visibility", "hidden");
    chart.classList.remove("choosing");
  }

  function hide() {
    forget();
    at = null;
    line.setAttribute("visibility", "hidden");
    dots.replaceChildren();
    tip.hidden = true;
  }

  function zoomIn() {
    const [a, b] = [from, at].sort((one, other) => one - other);
    forget();
    if (a !== null && b > a) zoom(times[a], times[b]);
  }

  const under = (event) => {
    const box = chart.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
    return Math.max(0, Math.min(end, Math.round(((place - left) / (right - left)) * end)));
  };
  chart.addEventListener("pointerdown", (event) => {
    if (!zoom || event.button !== 0) return;
    forget();
    pressed = { x: event.clientX, at: under(event) };
    chart.setPointerCapture(event.pointerId);
  });
  chart.addEventListener("pointermove", (event) => {
    if (pressed && Math.abs(event.clientX - pressed.x) >= DRAGGED) from ??= pressed.at;
    if (pressed && from !== null) choose(under(event));
    else show(under(event));
  });
  chart.addEventListener("pointerup", () => {
    if (pressed && from !== null) zoomIn();
    pressed = null;
  });
  chart.addEventListener("pointercancel", hide);
  chart.addEventListener("pointerleave", () => { if (!pressed) hide(); });
  chart.addEventListener("dblclick", () => zoom?.(null));
  chart.addEventListener("blur", hide);
  chart.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const choosing = from !== null;
      hide();
      if (!choosing) zoom?.(null);
    } else if (event.key === "Enter" && from !== null) zoomIn();
    else if (event.key in STEPS) {
      event.preventDefault();
      const to = Math.max(0, Math.min(end, (at ?? end) + STEPS[event.key]));
      if (event.shiftKey && zoom) choose(to);
      else {
        forget();
        show(to);
      }
    }
  });
}
