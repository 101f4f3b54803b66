// The Dashboards page: the catalogue's dashboards from Prometheus, and this instance live from its stream.

import { addressOf, asked, go, read } from "/web/address.js";
import { draw } from "/web/chart.js";
import { hinted } from "/web/hints.js";
import { follow } from "/web/live.js";
import { exactly } from "/web/units.js";
import { element, get, local, moment, refusal, setUp, word } from "/web/words.js";

const REFRESH = 10_000;
const ROW = 30;
const LIVE = "live";
const KEPT = 300;
const SPAN = "1h";
const SHORTEST = 10;
const SHOWN = [
  ["techsapo_wallbounce_success_rate", "stat", "percentunit"],
  ["techsapo_wallbounce_avg_confidence_5m", "stat", "percentunit"],
  ["techsapo_wallbounce_consensus_score", "stat", "percentunit"],
  ["techsapo_http_p95_response_time", "stat", "s"],
  ["techsapo_active_connections", "stat", "none"],
  ["techsapo_memory_usage_percent", "stat", "percent"],
  ["techsapo_cpu_usage_percent", "stat", "percent"],
  ["techsapo_wallbounce_cost_usd", "stat", "currencyUSD"],
  ["techsapo_llm_success_rate_by_provider", "timeseries", "percentunit"],
  ["techsapo_provider_cost_usd", "timeseries", "currencyUSD"],
  ["techsapo_budget_utilization_percent", "bargauge", "percent"],
  ["techsapo_auth_failures_total", "stat", "none"],
  ["techsapo_rate_limit_hits_total", "stat", "none"],
  ["techsapo_anomaly_requests_total", "stat", "none"],
];

const status = document.getElementById("status");
const rows = document.getElementById("rows");
let catalogue = null;
let view = read();
let current = view.dashboard;
let shownFigures = null;
let live = null;
let state = ["connecting"];
let stop = new AbortController();
let timer = 0;
let hosts = [];

function tell(kind, text) {
  status.className = kind;
  status.textContent = text;
}

function drawState() {
  const [kind, detail, code] = state;
  if (kind === "connecting") tell("", word("connecting"));
  else if (kind === "live") tell("good", `${word("live")}${live?.instance ? ` · ${live.instance}` : ""}`);
  else if (kind === "updated") tell("good", `${word("updated")} ${moment(detail, { hour: "2-digit", minute: "2-digit", second: "2-digit" })}`);
  else if (refusal(code)) tell("bad", refusal(code));
  else if (kind === "lost") tell("bad", `${word("lost")}: ${detail} ${word("again")}`);
  else tell("bad", detail);
}

function setState(...next) {
  state = next;
  drawState();
}

/** What the address names is among the choices also where there is no such thing any more. */
function choices(id, values) {
  const select = document.getElementById(id);
  const all = values.some(([value]) => value === view[id]) || !view[id] ? values : [...values, [view[id], view[id]]];
  select.replaceChildren(...all.map(([value, text]) => Object.assign(element("option", "", text), { value })));
  select.value = view[id] || (id === "span" ? SPAN : "");
}

/** Shows another view, which the back button leaves again. */
function change(changes) {
  view = { ...view, ...changes };
  go(view);
  show();
}

/** Shows a stretch of time in all charts; without one, the span that was chosen before. */
function zoom(from, to) {
  if (from === null && view.from === null) return;
  const begin = Math.floor(from ?? 0);
  const stretch = from === null ? { from: null, to: null } : { from: begin, to: Math.max(Math.ceil(to), begin + SHORTEST) };
  const panel = hosts.findIndex(({ body }) => body.contains(document.activeElement));
  change(stretch);
  hosts[panel]?.body.querySelector(".chart")?.focus();
}

function drawZoom() {
  const button = document.getElementById("unzoom");
  button.hidden = view.from === null || current === LIVE;
  if (!button.hidden) button.textContent = `${exactly(view.from)} – ${exactly(view.to)} ×`;
  button.title = word("unzoom");
}

/** What brings figures to a panel without any. */
function hint(panel) {
  const unseen = current !== LIVE && (catalogue?.variables.instance ?? []).length === 0 && ["questions", "requests"].includes(panel.origin);
  return hinted(unseen ? "unscraped" : panel.origin);
}

function tabName(dashboard) {
  const name = local(dashboard.title).replace(/^TechSapo /u, "");
  return name[0].toUpperCase() + name.slice(1);
}

function drawTabs() {
  const all = [...(catalogue?.prometheus === "ready" ? catalogue.dashboards.map((d) => [d.name, tabName(d)]) : []), [LIVE, word("live")]];
  if (!all.some(([name]) => name === current)) current = all[0][0];
  view.dashboard = current;
  if (catalogue && !catalogue.spans.includes(view.span)) view.span = "";
  document.getElementById("tabs").replaceChildren(...all.map(([name, text]) => {
    const link = element("a", "", text);
    link.href = addressOf(view, name);
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      current = name;
      change({ dashboard: name, series: name === view.dashboard ? view.series : {} });
    });
    if (name === current) link.setAttribute("aria-current", "true");
    return link;
  }));
  drawZoom();
  document.getElementById("filters").hidden = current === LIVE;
  const every = (names) => [["", word("all")], ...names.map((name) => [name, name])];
  choices("span", (catalogue?.spans ?? []).map((span) => [span, span]));
  const read = catalogue?.dashboards.find((d) => d.name === current)?.choices ?? [];
  for (const name of ["instance", "provider"]) {
    choices(name, every(catalogue?.variables[name] ?? []));
    document.getElementById(name).parentElement.hidden = !read.includes(name);
  }
}

function panelBox(panel, height) {
  const box = element("section", `panel w${panel.width}${panel.kind === "stat" ? " small" : ""}`);
  const title = element("h3", "", local(panel.title));
  if (panel.description) title.title = local(panel.description);
  const body = element("div", "figures");
  box.append(title, body);
  if (panel.description) box.append(element("p", "about dim", local(panel.description)));
  hosts.push({ body, panel, height: Math.max(height * ROW - 70, 120) });
  return box;
}

function drawFrame() {
  hosts = [];
  drawTabs();
  const about = document.getElementById("about");
  if (current === LIVE) {
    about.textContent = { absent: word("noPrometheus"), unreachable: word("prometheusLost") }[catalogue?.prometheus] ?? "";
    const names = SHOWN.map(([name, kind, unit]) => {
      const title = word("metricNames")[name];
      const origin = /_(?:wallbounce|llm|provider)_/u.test(name) ? "questions" : undefined;
      return { name, kind, unit, origin, width: kind === "timeseries" ? 12 : 6, title: { ja: title, en: title }, min: 0, max: { percentunit: 1, percent: 100 }[unit] ?? null, warning: null, critical: null };
    });
    const grid = element("div", "panels");
    const boxes = names.map((panel) => panelBox(panel, panel.kind === "timeseries" ? 8 : 5));
    grid.append(...boxes);
    boxes.forEach((box, n) => box.querySelector("h3").append(" ", element("code", "dim", names[n].name)));
    rows.replaceChildren(element("h2", "", word("live")), grid);
  } else {
    const dashboard = catalogue.dashboards.find((d) => d.name === current);
    about.textContent = local(dashboard.description);
    rows.replaceChildren(...dashboard.rows.flatMap((row) => {
      const grid = element("div", "panels");
      grid.append(...row.panels.map((panel) => panelBox(panel, row.height)));
      return [element("h2", "", local(row.title)), grid];
    }));
  }
  drawFigures();
}

function liveSeries(name) {
  const entries = Object.entries(live.series).filter(([key]) => key === name || key.startsWith(`${name}{`));
  return entries.map(([key, values]) => {
    const value = key.slice(name.length + 1, -1);
    const label = name === "techsapo_budget_utilization_percent" ? word(value) : value;
    return { legend: { ja: label, en: label }, values };
  });
}

/** How a reader finds a way in panel `n`: which lines, and which stretch. */
function wayIn(n, panel) {
  return {
    chosen: view.series[n] ?? null,
    choose: (names, all) => {
      const { [n]: _, ...others } = view.series;
      view = { ...view, series: all ? others : { ...others, [n]: names } };
      go(view);
      drawFigures();
    },
    zoom: current === LIVE ? undefined : zoom,
    hint: panel.origin ? () => hint(panel) : undefined,
  };
}

function drawFigures() {
  if (current === LIVE) {
    if (live) hosts.forEach(({ body, panel, height }, n) => draw(body, panel, { times: live.times, series: liveSeries(panel.name) }, height, wayIn(n, panel)));
  } else if (shownFigures?.name === current) {
    hosts.forEach(({ body, panel, height }, n) => {
      const figures = shownFigures.panels[n];
      if (figures.error) body.replaceChildren(element("p", "empty bad", figures.error));
      else draw(body, panel, { times: shownFigures.times, series: figures.series, applies: shownFigures.applies, events: shownFigures.events }, height, wayIn(n, panel));
    });
  }
  drawState();
}

/** Puts one message of the stream at the end of the columns. */
function take(message) {
  if (message.type !== "metrics" || !live) return;
  const { time, instance, metrics } = message.data;
  if (instance !== live.instance) live = { instance, times: [], series: {} };
  if (time <= (live.times.at(-1) ?? 0) + 0.2) return; // had it with the history
  const flat = {};
  for (const [name, value] of Object.entries(metrics)) {
    if (typeof value === "number") flat[name] = value;
    else for (const [label, number] of Object.entries(value)) flat[`${name}{${label}}`] = number;
  }
  const length = live.times.push(time);
  for (const name of new Set([...Object.keys(live.series), ...Object.keys(flat)])) {
    const column = (live.series[name] ??= new Array(length - 1).fill(null));
    column.push(flat[name] ?? null);
  }
  if (length > KEPT) {
    live.times.shift();
    for (const column of Object.values(live.series)) column.shift();
  }
  if (!document.hidden && !rows.contains(document.querySelector(".panel .chart:focus, .panel:hover .tip:not([hidden])"))) drawFigures();
}

async function watchLive(signal) {
  live ??= { instance: "", times: [], series: {} };
  try {
    live = await get("/api/v1/metrics/recent");
  } catch { /* the stream below says so, and tries again */ }
  if (signal.aborted) return;
  drawFigures();
  await follow("/api/v1/metrics/stream", {
    signal,
    onData: (message) => { take(message); if (state[0] !== "live") setState("live"); },
    onState: (kind, pause, code) => setState(kind, pause, code),
  });
}

async function refresh(signal) {
  const name = current;
  let next = REFRESH;
  try {
    const figures = await get(`/api/v1/dashboards/${name}?${asked(view)}`);
    if (signal.aborted) return;
    const first = shownFigures === null || shownFigures.asked !== asked(view);
    shownFigures = { ...figures, name, asked: asked(view) };
    setState("updated", new Date());
    if (first || !rows.querySelector(".chart:focus, .choosing, .panel:hover .tip:not([hidden])")) drawFigures();
  } catch (error) {
    if (signal.aborted) return;
    next = 3000;
    if (error.status === 0) setState("lost", next / 1000, 0);
    else setState("failed", error.detail, error.status);
  }
  timer = setTimeout(() => refresh(signal), document.hidden ? 6 * next : next);
}

function show() {
  stop.abort();
  clearTimeout(timer);
  stop = new AbortController();
  setState("connecting");
  drawFrame();
  if (current === LIVE) watchLive(stop.signal);
  else refresh(stop.signal);
}

async function start() {
  try {
    catalogue = await get("/api/v1/dashboards");
  } catch (error) {
    stop.abort();
    setState("failed", error.detail, error.status);
    if (error.status === 0 || error.status >= 500) setTimeout(start, 3000);
    return;
  }
  show();
}

// The back button, and an address that was changed by hand.
addEventListener("popstate", () => {
  view = read();
  current = view.dashboard;
  if (catalogue) show();
});
for (const id of ["span", "instance", "provider"]) {
  document.getElementById(id).addEventListener("change", ({ target }) => change({ [id]: target.value, ...(id === "span" ? { from: null, to: null } : {}) }));
}
document.getElementById("unzoom").addEventListener("click", () => zoom(null));
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawFigures(); } });
setUp(() => { if (catalogue) drawFrame(); drawState(); }, start);
start();
