// A bar for each of the last 90 days. What nobody saw stays empty, and is never painted as if all had been well.

import { element, get, inPlace, moment, number, word } from "/web/words.js";

const REFRESH = 300_000;
const NS = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, GAP] = [8, 36, 2];
/** From this share of a day on it is told as known: one look may be missed while Prometheus restarts. */
const WHOLE = 0.99;
let told = null;
let timer = 0;

function shape(tag, attributes) {
  const made = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function percent(share) {
  const shown = Math.floor(share * 100_000) / 1000; // never rounded up to 100
  return `${number(shown, shown === 100 ? 0 : shown >= 99.9 ? 3 : 2)} %`;
}

function day(text) {
  return moment(new Date(`${text}T00:00:00Z`), { month: "short", day: "numeric", timeZone: "UTC" });
}

function styleOf(up) {
  if (up >= 0.999) return "good";
  return up >= 0.99 ? "warn" : "bad";
}

function nameOf(row) {
  return { questions: word("questionsAnswered"), any_instance: word("appUp") }[row.kind] ?? row.name;
}

/** What a day without a figure is called. */
function blankOf(row) {
  return word(row.asked ? "noQuestion" : "noData");
}

function summary(row) {
  if (row.asked) {
    const asked = row.asked.reduce((sum, count) => sum + count, 0);
    const answered = row.up.reduce((sum, share, n) => sum + (share ?? 0) * row.asked[n], 0);
    return `${percent(answered / asked)} · ${number(asked, 0)} ${word("questionsAsked")}`;
  }
  const days = row.known.reduce((sum, known) => sum + known, 0);
  const up = row.up.reduce((sum, share, n) => sum + (share ?? 0) * row.known[n], 0);
  return days === 0 ? word("noData") : `${percent(up / days)} · ${word("knownDays")} ${number(Math.floor(days * 10) / 10, days < 89.95 ? 1 : 0)} / ${row.up.length}`;
}

function bars(row) {
  const chart = shape("svg", { viewBox: `0 0 ${row.up.length * (WIDTH + GAP)} ${HEIGHT}`, preserveAspectRatio: "none", class: "days", role: "img", "aria-label": `${nameOf(row)}: ${summary(row)}` });
  row.up.forEach((up, n) => {
    const group = shape("g", {});
    const title = shape("title", {});
    title.textContent = `${day(told.days[n])}: ${up === null ? blankOf(row) : percent(up)}${up !== null && row.known[n] < WHOLE ? ` (${word("ofTheDay")} ${percent(row.known[n])})` : ""}`;
    group.append(title, shape("rect", { x: n * (WIDTH + GAP), y: 0, width: WIDTH, height: HEIGHT, class: "unknown" }));
    if (up !== null) {
      const height = HEIGHT * (row.known[n] >= WHOLE ? 1 : row.known[n]);
      group.append(shape("rect", { x: n * (WIDTH + GAP), y: HEIGHT - height, width: WIDTH, height, class: styleOf(up) }));
    }
    chart.append(group);
  });
  return chart;
}

/** The days that were not wholly up, or not wholly known, as words: the bars say the rest to the eye alone. */
function words(row) {
  const items = [];
  row.up.forEach((up, n) => {
    if (up === null || (up === 1 && row.known[n] >= WHOLE)) return;
    items.push(element("li", "", `${told.days[n]}: ${percent(up)}${row.known[n] < WHOLE ? ` (${word("ofTheDay")} ${percent(row.known[n])})` : ""}`));
  });
  const blank = row.up.filter((up) => up === null).length;
  if (blank) items.push(element("li", "dim", `${blankOf(row)}: ${blank} ${word("days")}`));
  return items;
}

export function drawUptime() {
  const host = document.getElementById("uptime");
  if (!told || told.watched !== "ready") {
    host.replaceChildren(element("p", "dim", told ? word(told.watched === "absent" ? "notWatched" : "watchLost") : word("connecting")));
    return;
  }
  if (told.rows.length === 0) {
    host.replaceChildren(element("p", "dim", word("noData")));
    return;
  }
  const open = new Set([...host.querySelectorAll("details[open]")].map((details) => details.dataset.of));
  host.replaceChildren(...told.rows.map((row) => {
    const box = element("div", "uptime");
    const head = element("p", "headline");
    head.append(element("strong", "", nameOf(row)), " ", element("small", "dim", summary(row)));
    box.append(head, bars(row));
    const items = words(row);
    if (items.length) {
      const details = element("details");
      details.dataset.of = `${row.kind} ${row.name}`;
      details.open = open.has(details.dataset.of);
      const list = element("ul");
      list.append(...items);
      details.append(element("summary", "", word("dayByDay")), list);
      box.append(details);
    }
    return box;
  }), element("p", "dim", word("uptimeKey")));
}

/** Asks for the days, now and every five minutes; an error is told by what else the page asks. */
export async function followUptime() {
  clearTimeout(timer);
  try {
    told = await get("/api/v1/uptime");
  } catch { /* shown as it was */ }
  inPlace(document.getElementById("main"), drawUptime);
  timer = setTimeout(followUptime, REFRESH);
}
