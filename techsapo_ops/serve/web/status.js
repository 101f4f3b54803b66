// The Status page: health, services, alerts, jobs, backups, costs and more, asked for again every ten seconds.

import { hinted } from "/web/hints.js";
import { drawRecords } from "/web/records.js";
import { drawCertificates, drawDisks, drawServices } from "/web/stack.js";
import { element, get, inPlace, local, moment, number, setUp, stamp, word } from "/web/words.js";

const REFRESH = 10_000;
const AGAIN = 3000;
const status = document.getElementById("status");
let shown = null;
let trouble = null;
let timer = 0;

function state(name) {
  const kinds = { healthy: "good", available: "good", degraded: "warn", down: "bad", unavailable: "warn", open: "bad" };
  return element("span", `badge ${kinds[name] ?? "dim"}`, word(name));
}

function money(usd) {
  return `$${number(usd, usd === 0 || usd >= 0.01 ? 2 : 6)}`;
}

function when(value) {
  return value === null || value === undefined ? word("neverRun") : moment(new Date(typeof value === "number" ? value * 1000 : value), { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}

function line(name, badge, detail) {
  const item = element("li");
  item.append(element("span", "name", name), badge);
  if (detail) item.append(element("small", "dim", detail));
  return item;
}

/** What is the matter with a provider, in the reader's language where the app names the cause. */
function troubleOf({ cause, detail, next_try_seconds: wait }) {
  if (!cause) return detail;
  const then = wait > 0 ? `${wait} ${word("tryIn")}` : word("tryNext");
  return [word("causes")[cause] ?? cause, then, word("remedies")[cause] && `${word("toDo")}: ${word("remedies")[cause]}`].filter(Boolean).join(" · ");
}

function drawHealth() {
  const { health } = shown;
  const head = element("p", "headline");
  head.append(state(health.status), " ", element("span", "dim", `${health.instance} · ${health.version}`));
  if (health.simulated) head.append(" ", element("span", "badge warn", word("simulated")));
  const list = element("ul", "facts");
  const { cache, audit, providers } = health.dependencies;
  list.append(line(word("cacheName"), state(cache.status), `${cache.in_use} · ${cache.detail}`), line(word("auditName"), state(audit.status), `${audit.in_use} · ${audit.detail}`));
  for (const [name, provider] of Object.entries(providers)) list.append(line(name, state(provider.status), [provider.model, troubleOf(provider)].filter(Boolean).join(" · ")));
  const { front } = shown;
  if (front) list.append(line(word("frontAddress"), state(front.hosts.length === 1 ? "healthy" : "down"), `${front.address} · ${front.hosts.join(", ")}`));
  document.getElementById("health").replaceChildren(head, list);
}

function drawExposures() {
  const list = element("ul", "facts");
  for (const { rule, message, accepted } of shown.exposures) list.append(line(rule, element("span", `badge ${accepted === null ? "warn" : "dim"}`, word(accepted === null ? "exposed" : "meant")), accepted === null ? message : `${message} · ${accepted}`));
  document.getElementById("exposures").replaceChildren(...(shown.exposures.length ? [element("h3", "", word("exposuresTitle")), list] : []));
}

function unknown() {
  return element("p", "dim", word(shown.watched === "absent" ? "notWatched" : "watchLost"));
}

/** That users are turned away, where that is so. */
function closed() {
  const { maintenance } = shown;
  if (!maintenance) return [];
  const until = maintenance.until ? ` · ${word(maintenance.forgotten ? "maintenanceOver" : "maintenanceUntil")} ${stamp(new Date(maintenance.until))}` : "";
  return [element("p", maintenance.forgotten ? "bad" : "warn", `${word("maintenance")}: ${maintenance.detail}${until}`)];
}

/** A warning where alerts reach no one: this page may be the only place that shows them. */
function unreachedAlerts() {
  const { unreached } = shown;
  const notes = { "page": "pageToNobody", "page-at-once": "pageLater", "critical-at-once": "criticalLater" };
  for (const name of unreached) if (notes[name]) return [element("p", "warn", word(notes[name]))];
  if (!unreached.includes("critical")) return [];
  return [element("p", "warn", word(unreached.includes("warning") && unreached.includes("info") ? "alertsToNobody" : "criticalToNobody"))];
}

function drawAlerts() {
  const host = document.getElementById("alerts");
  if (shown.alerts === null) {
    host.replaceChildren(unknown());
    return;
  }
  const list = element("ul", "alerts");
  for (const alert of shown.alerts) {
    const item = element("li", { critical: "bad", warning: "warn" }[alert.severity] ?? "info");
    const head = element("p", "headline");
    head.append(element("strong", "", alert.name), " ", element("span", "badge", alert.severity), " ", element("span", "badge dim", word(alert.state)));
    if (alert.until) head.append(" ", element("small", "dim", `${word("silencedUntil")} ${stamp(new Date(alert.until))}`));
    item.append(head, element("p", "", local(alert.summaries) ?? alert.summary));
    const facts = element("small", "dim", `${word("since")} ${stamp(new Date(alert.since))}${alert.instance ? ` · ${alert.instance}` : ""} `);
    if (/^(https?:|\/runbooks\/)/.test(alert.runbook)) {
      const link = element("a", "", word("runbook"));
      link.href = alert.runbook;
      link.rel = "noreferrer";
      facts.append("· ", link);
    } else if (alert.runbook) facts.append(`· ${word("runbook")}: ${alert.runbook}`);
    const why = element("a", "", word("why"));
    why.href = `/incidents?alert=${encodeURIComponent(alert.name)}`;
    facts.append(" · ", why);
    item.append(facts);
    if (alert.acknowledged !== null) {
      const { by, at, comment } = alert.acknowledged;
      item.append(element("p", "held", `${word("held")}: ${by} · ${word("heldSince")} ${stamp(new Date(at))}${comment ? ` · ${comment}` : ""}`));
    }
    list.append(item);
  }
  host.replaceChildren(...closed(), ...unreachedAlerts(), shown.alerts.length ? list : element("p", "good", word("noAlerts")));
}

function drawJobs() {
  const host = document.getElementById("jobs");
  if (shown.jobs === null || shown.jobs.length === 0) {
    host.replaceChildren(shown.jobs === null ? unknown() : element("p", "dim", word("noJobs")));
    return;
  }
  const table = element("table");
  const head = element("tr");
  head.append(...["job", "result", "lastRun", "lastSuccess", "nextRun"].map((name) => element("th", "", word(name))));
  table.append(head, ...shown.jobs.map((job) => {
    const row = element("tr");
    const result = element("td");
    if (job.exit_code === null) result.append(element("span", "badge dim", word("neverRun")));
    else if (job.exit_code === 0) result.append(element("span", "badge good", word("ok")));
    else result.append(element("span", "badge bad", `${word("failed")} (${word("exitCode")} ${job.exit_code})`));
    row.append(element("td", "", job.name), result, ...["last_run", "last_success", "next_run"].map((key) => element("td", "", when(job[key]))));
    return row;
  }));
  const ran = shown.jobs.some((job) => job.last_run !== null);
  // One that never ran says since when nobody starts it by when it was due: a new stack has not missed any.
  const lately = shown.jobs.some((job) => Date.now() / 1000 - (job.last_run ?? job.next_run ?? 0) < 2 * 86400);
  const missing = element("p", lately ? "dim" : "warn", word(lately ? "noJobs" : "noJobsLately"));
  host.replaceChildren(...(lately && ran ? [] : [missing]), table);
}

/** The newest backup, the newest that restored, and the last copy that came back from off-site. */
function drawBackups() {
  const { backups } = shown;
  const list = element("ul", "facts");
  const checked = (name, ok, at) => line(name, element("span", `badge ${ok === false ? "bad" : at === null ? "dim" : "good"}`, word(ok === false ? "failed" : at === null ? "neverRun" : "ok")), at === null ? "" : when(at));
  if (backups && backups.newest !== null) {
    list.append(line(word("newestBackup"), element("span", "", when(backups.newest))), checked(word("restoredOnTrial"), backups.ok, backups.verified));
    if (backups.offsite_ok !== null) list.append(checked(word("cameBack"), backups.offsite_ok, backups.offsite_verified));
  }
  for (const drill of backups?.drills ?? []) list.append(checked(`${word("drill")} ${drill.name}`, drill.ok, drill.last_run));
  document.getElementById("backups").replaceChildren(...(list.children.length ? [element("h3", "", word("backupsTitle")), list] : []));
}

function drawCosts() {
  const { budget, month } = shown.costs;
  const list = element("dl", "budget");
  for (const { period, percent, limit_usd: limit, warn_percent: warn } of budget) {
    const group = element("div");
    const meter = Object.assign(element("progress"), { max: 100, value: Math.min(percent, 100) });
    meter.setAttribute("aria-label", word(period));
    if (percent >= 100) meter.className = "bad";
    else if (percent >= warn) meter.className = "warn";
    const value = element("dd", "", `${money((percent / 100) * limit)} / ${money(limit)}`);
    value.append(meter, element("small", "dim", `${number(percent, 1)} %`));
    group.append(element("dt", "", word(period)), value);
    list.append(group);
  }
  const parts = [list];
  if (month) {
    parts.push(element("h3", "", word("spentBy")));
    const facts = element("ul", "facts");
    for (const p of month.providers) facts.append(line(p.name, element("span", "number", money(p.usd)), `${p.calls} ${word("calls")}${p.failed ? ` · ${p.failed} ${word("failures")}` : ""}`));
    if (month.simulated_usd) facts.append(line(word("simulated"), element("span", "number", money(month.simulated_usd)), word(month.simulated_counts ? "simulatedCounts" : "simulatedFree")));
    parts.push(month.providers.length ? facts : hinted("costs"));
  }
  document.getElementById("costs").replaceChildren(...parts);
}

function draw() {
  if (shown) {
    drawHealth();
    drawExposures();
    drawAlerts();
    drawServices(shown.services, unknown);
    drawDisks(shown.disks, unknown);
    drawCertificates(shown.certificates, unknown);
    drawJobs();
    drawBackups();
    drawCosts();
  }
  drawState();
}

/** Whether the page is up to date, which is announced where it changes, and of when it is, which never is. */
function drawState() {
  let [style, text] = shown ? ["good", word("upToDate")] : ["", word("connecting")];
  if (trouble) [style, text] = ["bad", trouble.status === 0 ? `${word("lost")}: ${AGAIN / 1000} ${word("again")}` : trouble.detail];
  status.className = style;
  if (status.textContent !== text) status.textContent = text;
  document.getElementById("when").textContent = shown ? `${word("updated")} ${moment(shown.at, { hour: "2-digit", minute: "2-digit", second: "2-digit" })}` : "";
}

async function refresh() {
  clearTimeout(timer);
  try {
    shown = { ...(await get("/api/v1/status")), at: new Date() };
    trouble = null;
  } catch (error) {
    trouble = error;
  }
  inPlace(document.getElementById("main"), draw);
  timer = setTimeout(refresh, trouble ? AGAIN : document.hidden ? 6 * REFRESH : REFRESH);
}

/** Read once, and again in another language: they change by the day. */
function records() {
  drawRecords(document.getElementById("records"));
}

setUp(() => { draw(); records(); }, () => { refresh(); records(); });
refresh();
records();
