// What was asked in this browser: the beginning of each question and the answer's id. The server keeps no questions,
// and this page no answers: they are read again from there, by whom they were given to.

import { element, headers, HISTORY as NAME, moment, word } from "/web/words.js";

const MOST = 30;
const BEGINNING = 300;
// Where people are told apart, by keys or by signing in, several may share the browser: what one asked goes with the tab.
const storage = document.documentElement.dataset.people === "many" ? "sessionStorage" : "localStorage";

function entries() {
  try {
    const list = JSON.parse(window[storage].getItem(NAME) ?? "[]");
    return Array.isArray(list) ? list.filter((each) => typeof each?.id === "string" && typeof each.question === "string") : [];
  } catch { return []; }
}

function keep(list) {
  try {
    if (list.length) window[storage].setItem(NAME, JSON.stringify(list));
    else window[storage].removeItem(NAME);
  } catch { /* a private window keeps nothing */ }
}

/** Notes that `question` got the answer `id`. */
export function note(id, question, tier) {
  const whole = question.trim();
  keep([{ id, question: whole.slice(0, BEGINNING), tier, at: Date.now() }, ...entries().filter((each) => each.id !== id)].slice(0, MOST));
}

/** The beginning of the question that got the answer `id`, where it was asked here. */
export function questionOf(id) {
  return entries().find((each) => each.id === id)?.question ?? "";
}

/** The address of an answer. */
export function linkTo(id) {
  const query = new URLSearchParams(location.search);
  query.set("answer", id);
  return `${location.pathname}?${query}`;
}

/** The id that this page's address names, or "". */
export function named() {
  const id = new URLSearchParams(location.search).get("answer") ?? "";
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/u.test(id) ? id : "";
}

/** An answer again: `answer`, or the `problem` why there is none. */
export async function recall(id, signal) {
  const response = await fetch(`/api/v1/answers/${encodeURIComponent(id)}?html=true`, { headers: headers(), signal });
  const body = await response.json().catch(() => ({ detail: word("badReply") }));
  if (response.ok) return { answer: body, status: "recalled" };
  const detail = { 401: word("keyNeeded"), 404: word("notKept") }[response.status] ?? body.detail;
  return { problem: { ...body, title: word("noAnswer"), detail } };
}

let drawn = "";

/** Draws the list, where it is another; `open(id)` shows an answer, and `current` is the one that is shown. */
export function drawHistory(open, current) {
  const box = document.getElementById("history");
  const list = entries();
  const next = JSON.stringify([document.documentElement.lang, current ?? "", list]);
  if (next === drawn) return;
  drawn = next;
  box.hidden = list.length === 0;
  document.getElementById("asked").replaceChildren(...list.map((each) => {
    const item = element("li");
    const link = element("a", "", each.question || each.id);
    link.href = linkTo(each.id);
    if (each.id === current) link.setAttribute("aria-current", "true");
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open(each.id);
    });
    item.append(link, element("small", "dim", ` ${word(each.tier)} · ${moment(new Date(each.at), { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" })}`));
    return item;
  }));
  const forget = document.getElementById("forget");
  forget.onclick = () => {
    keep([]);
    drawHistory(open, current);
    document.getElementById("prompt").focus();
  };
}
