// The Incidents page: all incidents, and one of them with its verdict, evidence, checks, time line and end.
// The address names that one (/incidents?id=12), or an alert whose newest incident is shown (?alert=RedisDown).

import { drawEvidence, drawTimeline, latest } from "/web/investigated.js";
import { copyButton } from "/web/markup.js";
import { element, get, inPlace, moment, post, setUp, stamp, word } from "/web/words.js";

const REFRESH = 10_000;
const AGAIN = 3000;
const status = document.getElementById("status");
let shown = null;
let chosen = null;
let trouble = null;
let timer = 0;
let turn = 0;

function asked() {
  const query = new URLSearchParams(location.search);
  const id = query.get("id") ?? "";
  return { id: /^\d{1,9}$/u.test(id) ? Number(id) : null, alert: query.get("alert") ?? "" };
}

function address(id) {
  const query = new URLSearchParams(location.search);
  query.delete("alert");
  query.set("id", id);
  return `/incidents?${query}`;
}

function badges(incident) {
  const made = [element("span", `badge ${incident.ended ? "dim" : incident.pages ? "bad" : "warn"}`, word(incident.ended ? "incidentEnded" : "incidentOpen"))];
  if (!incident.ended && incident.acknowledged_by.length) made.push(element("span", "badge good", `${word("held")}: ${incident.acknowledged_by.join(", ")}`));
  if (["due", "running"].includes(incident.investigation)) made.push(element("span", "badge", word("investigating")));
  return made;
}

function drawList() {
  const host = document.getElementById("incidents");
  if (!shown.length) {
    host.replaceChildren(element("p", "good", word("noIncidents")));
    return;
  }
  const list = element("ul", "facts");
  for (const incident of shown) {
    const item = element("li");
    const link = element("a", "name", `#${incident.number} ${incident.title}`);
    link.href = address(incident.number);
    if (incident.number === chosen?.number) link.setAttribute("aria-current", "true");
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      history.pushState(null, "", link.href);
      refresh();
    });
    item.append(link, ...badges(incident), element("small", "dim", `${stamp(new Date(incident.began))} · ${incident.about.join(", ")}`));
    list.append(item);
  }
  host.replaceChildren(list);
}

/** The verdict as one sentence; never a number, as how often it is right is not known. */
function sentence({ verdict, declined, failed, simulated }) {
  const said = `${simulated ? `${word("simulated")}: ` : ""}${word("verdicts")[verdict.outcome]}`;
  if (["cause", "guess", "false_alarm"].includes(verdict.outcome)) return `${said}: ${verdict.causes[0].cause}`;
  if (verdict.outcome === "evidence_only") return `${said}: ${declined || failed.map(([name, why]) => `${name}: ${why}`).join("; ")}`;
  return verdict.missing.length ? `${said} ${word("missing")}: ${verdict.missing.join("; ")}` : said;
}

function ids(list) {
  return list.length ? ` [${list.join(", ")}]` : "";
}

function drawCause(cause, place) {
  const item = element("li");
  const head = element("p", "headline");
  head.append(element("strong", "", cause.cause), " ", element("small", "dim", `${cause.members.join(", ")}${ids(cause.evidence)}`));
  const chain = element("ol");
  for (const link of cause.chain) chain.append(element("li", "", `${link.says}${ids(link.evidence)}`));
  item.append(head, chain);
  for (const against of cause.against) item.append(element("p", "dim", `${word("speaksAgainst")}: ${against}`));
  item.append(form("strike", word("strikeWhy"), word("strike"), (reason) => ({ cause: place + 1, reason })));
  return item;
}

/** A line to fill in and a button, which posts what `body` makes of it about the chosen incident. */
function form(action, label, name, body, wide = false) {
  const made = element("form", "said");
  const field = element(wide ? "textarea" : "input");
  field.required = true;
  field.maxLength = wide ? 16_000 : 500;
  field.setAttribute("aria-label", label);
  field.placeholder = label;
  made.append(field, element("button", "quiet", name));
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      chosen = await post(`/api/v1/incidents/${chosen.number}/${action}`, body(field.value));
      field.value = "";
      await refresh();
    } catch (error) {
      trouble = error;
      drawState();
    }
  });
  return made;
}

function drawVerdict(entry) {
  if (!entry) return [element("p", "dim", word(["due", "running"].includes(chosen.investigation) ? "investigating" : "noVerdict"))];
  const drawn = entry.detail;
  const { verdict } = drawn;
  const parts = [element("p", "big", sentence(drawn))];
  if (verdict.step) parts.push(element("p", "", `${word("runbook")}: ${verdict.step.runbook} ${verdict.step.number}`));
  if (verdict.checks.length) {
    parts.push(element("h3", "", word("nextChecks")));
    const list = element("ul", "facts");
    for (const { check, argv } of verdict.checks) {
      const item = element("li");
      const command = argv.join(" ");
      item.append(element("code", "name", command), copyButton(() => command), form("check", word("printed"), word("addOutput"), (output) => ({ check, output }), true));
      list.append(item);
    }
    parts.push(list);
  }
  if (verdict.causes.length) {
    const causes = element("details");
    const list = element("ol");
    list.append(...verdict.causes.map(drawCause));
    causes.append(element("summary", "", `${word("causesTitle")} (${verdict.causes.length})`), list);
    for (const struck of verdict.struck) causes.append(element("p", "dim", `${word("struck")}: ${struck.cause} – ${struck.reason}`));
    parts.push(causes);
  }
  return parts;
}

function drawChosen() {
  const host = document.getElementById("incident");
  host.hidden = chosen === null;
  if (chosen === null) return;
  const same = host.dataset.number === String(chosen.number);
  host.dataset.number = String(chosen.number);
  const open = new Set([...host.querySelectorAll("details[open]")].map((each) => each.dataset.part));
  const typed = [...host.querySelectorAll("input, textarea")].map((each) => each.value);
  const times = `${word("since")} ${stamp(new Date(chosen.began))}${chosen.ended ? ` · ${word("incidentEnded")} ${stamp(new Date(chosen.ended))}` : ""}`;
  const head = element("h2", "", `#${chosen.number} ${chosen.title} `);
  head.append(...badges(chosen));
  const end = chosen.cause === null
    ? form("resolve", word("causeWas"), word("resolve"), (cause) => ({ cause }))
    : element("p", "good", `${word("resolvedCause")}: ${chosen.cause}`);
  const evidence = latest(chosen, "evidence");
  host.replaceChildren(
    head,
    element("p", "dim", `${times} · ${chosen.about.join(", ")}`),
    ...drawVerdict(latest(chosen, "verdict")),
    ...drawEvidence(evidence?.detail ?? null),
    drawTimeline(chosen),
    end,
  );
  [...host.querySelectorAll("details")].forEach((each, place) => {
    each.dataset.part = String(place);
    each.open = (same && open.has(each.dataset.part)) || each.open;
  });
  const fields = [...host.querySelectorAll("input, textarea")];
  if (same && fields.length === typed.length) fields.forEach((each, place) => { each.value = typed[place]; });
}

function draw() {
  if (shown) {
    drawList();
    drawChosen();
  }
  drawState();
}

function drawState() {
  let [style, text] = shown ? ["good", word("upToDate")] : ["", word("connecting")];
  if (trouble) [style, text] = ["bad", trouble.status === 0 ? `${word("lost")}: ${AGAIN / 1000} ${word("again")}` : trouble.detail];
  status.className = style;
  if (status.textContent !== text) status.textContent = text;
  document.getElementById("when").textContent = shown ? `${word("updated")} ${moment(new Date(), { hour: "2-digit", minute: "2-digit", second: "2-digit" })}` : "";
}

async function refresh() {
  clearTimeout(timer);
  const mine = ++turn;
  try {
    const { id, alert } = asked();
    const filter = alert ? `?alert=${encodeURIComponent(alert)}` : "";
    const all = (await get(`/api/v1/incidents${filter}`)).incidents;
    const number = id ?? all.find((each) => !each.ended)?.number ?? all[0]?.number ?? null;
    const one = number === null ? null : await get(`/api/v1/incidents/${number}`);
    if (mine !== turn) return; // another one was chosen meanwhile
    shown = all;
    chosen = one;
    trouble = null;
  } catch (error) {
    if (mine !== turn) return;
    trouble = error;
  }
  inPlace(document.getElementById("main"), draw);
  timer = setTimeout(refresh, trouble ? AGAIN : document.hidden ? 6 * REFRESH : REFRESH);
}

addEventListener("popstate", refresh);
setUp(draw, refresh);
refresh();
