// The Ask page: one question; what each provider says as it says it, the verdict, and how it came about.

import { events } from "/web/live.js";
import { drawHistory, linkTo, named, note, questionOf, recall } from "/web/history.js";
import { feedbackForm } from "/web/label.js";
import { copyButton, written } from "/web/markup.js";
import { followOffer, offer } from "/web/offer.js";
import { recordOf } from "/web/records.js";
import { chosenLanguage, element, headers, number, setUp, takeKey, word } from "/web/words.js";

const form = document.getElementById("form");
const prompt = document.getElementById("prompt");
const send = document.getElementById("send");
const stop = document.getElementById("stop");
const status = document.getElementById("status");
const problem = document.getElementById("problem");
const result = document.getElementById("result");
const each = document.getElementById("each");
const cards = document.getElementById("providers");
/** What each card says, to see whether it says something new. */
const said = new WeakMap();
const examination = document.getElementById("examination");

const link = document.getElementById("link");

let shown = null;
let underWay = null;
/** The question whose answer is shown, as it was asked here. */
let answered = "";

function badge(text, style) {
  return element("span", `badge ${style}`, text);
}

function score(name, value, needs) {
  const group = element("div");
  group.append(element("dt", "", word(name)));
  const shownValue = element("dd", "", value);
  if (needs !== undefined) shownValue.append(" ", element("small", "dim", `${word("needs")} ${needs}`));
  group.append(shownValue);
  return group;
}

function cost(usd) {
  return `$${number(usd, usd === 0 || usd >= 0.01 ? 2 : 6)}`;
}

/** Why a call failed, in words. */
function why({ cause, kind }) {
  return word("causes")[cause] ?? word("kinds")[kind] ?? kind;
}

/** The verdict in one sentence: how the answers are divided, and what to do now. */
function headline(body) {
  const votes = body.providers.filter((each) => each.status === "answered");
  const agree = votes.filter((each) => each.agrees).length;
  const differ = votes.filter((each) => each.agrees === false).length;
  const texts = word("headlines");
  const checked = votes.length === 1 && (body.grades ?? []).length;
  const said = votes.length < 2 ? (checked ? texts.checked : texts.sole)
    : differ ? texts.split.replace("{agree}", agree).replace("{differ}", differ)
      : agree < 2 ? texts.uncompared : texts.agree.replace("{agree}", agree);
  const next = body.accepted ? texts.accepted : (body.checks ?? []).length ? texts.check : texts.declined;
  return `${said}${word("gap")}${next}`;
}

function drawHeadline(body) {
  result.querySelector("article").className = `card ${body.accepted ? "accepted" : "declined"}`;
  document.getElementById("headline").textContent = headline(body);
  document.getElementById("checks").replaceChildren(...(body.checks ?? []).map(({ command, tells, reads }) => {
    const item = element("li");
    item.append(element("code", "name", command), copyButton(() => command), element("span", "dim", `${tells} · ${reads}`));
    return item;
  }));
  const box = document.getElementById("feedback");
  const of = body.request_id + document.documentElement.lang;
  if (box.dataset.of !== of) box.replaceChildren(feedbackForm(body.request_id, "page"));
  box.dataset.of = of;
}

/** What stands in the card of a provider that answered or failed. */
function providerParts(provider, chosen) {
  const card = document.createDocumentFragment();
  const title = element("h3", "", provider.name);
  title.append(element("small", "dim", provider.model));
  card.append(title);
  if (provider.status === "failed") {
    title.append(badge(word("failed"), "bad"));
    card.append(element("p", "text", `${why(provider.error)}: ${provider.error.message}`));
  } else {
    card.append(written(provider));
  }
  if (provider.name === chosen) title.append(badge(word("chosen"), "good"));
  else if (provider.agrees === false) title.append(badge(word("dissents"), "warn"));
  const facts = [`${number(provider.seconds, 2)} ${word("seconds")}`, cost(provider.cost_usd)];
  if (typeof provider.grade === "number") facts.push(`${word("grade")} ${number(provider.grade, 2)}`);
  if (typeof provider.self_confidence === "number") facts.push(`${word("sure")} ${number(provider.self_confidence, 2)}`);
  if (provider.tokens) facts.push(`${provider.tokens.input}+${provider.tokens.output} ${word("tokens")}`);
  card.append(element("p", "meta", facts.join(" · ")), recordOf(provider.model));
  return card;
}

/** The same while the analysis is under way: what is known of one provider by now. */
function liveParts(name, known) {
  const card = document.createDocumentFragment();
  const title = element("h3", "", name);
  title.append(element("small", "dim", known.model));
  card.append(title);
  if (known.error) {
    title.append(badge(word("failed"), "bad"));
    card.append(element("p", "text", `${why(known.error)}: ${known.error.message}`));
  } else {
    card.append(known.answer ? written(known) : element("p", "text dim", word("awaited")));
  }
  if (known.revised) title.append(badge(word("bounces"), "warn"));
  const facts = known.grades.map(([grader, grade]) => `${grader} ${number(grade, 2)}`);
  if (facts.length) card.append(element("p", "meta", `${word("grade")}: ${facts.join(" · ")}`));
  return card;
}

/** What one event adds to the live view. */
function learn(live, name, event) {
  const known = (provider) => (live.providers[provider] ??= { model: "", answer: "", grades: [] });
  if (name === "asked") event.providers.forEach(known);
  if (name === "sat_in") known(event.provider);
  if (name in word("phases")) live.phase = name;
  if (name === "answered" || name === "revised") {
    Object.assign(known(event.provider), { model: event.model, answer: event.answer, answer_html: event.answer_html, revised: name === "revised" });
  } else if (name === "graded") {
    for (const { subject, grade } of event.grades) known(subject).grades.push([event.provider, grade]);
  } else if (name === "failed" && event.phase === "answer") {
    Object.assign(known(event.provider), { model: event.model, error: event });
  }
  live.log.push([name, event, (performance.now() - live.started) / 1000]);
}

function logLine([name, event, seconds]) {
  const phase = () => `${word("phases")[name]}: ${event.providers.join(", ")}`;
  const texts = {
    waiting: () => word("phases").waiting,
    asked: phase,
    grading: phase,
    bouncing: phase,
    settled: () => `${word("phases").settled}: ${word(event.tier)} · ${word("confidence")} ${number(event.confidence, 2)} · ${word("consensus")} ${number(event.consensus, 2)}`,
    answered: () => `${event.provider}: ${word("answer")}`,
    revised: () => `${event.provider}: ${word("revised")}`,
    graded: () => `${event.provider}: ${word("grade")} ${event.grades.map((g) => `${g.subject} ${number(g.grade, 2)}`).join(" · ")}`,
    asked_again: () => `${event.provider}: ${word("askedAgain")} (${event.subjects.join(", ")})`,
    bounced: () => `${word("bounces")}: ${bounced(event)}`,
    escalated: () => `${word("escalations")}: ${escalated(event)}`,
    failed: () => `${event.provider}: ${word("failed")} (${why(event)})`,
    sat_in: () => `${event.provider}: ${word("satIn")} (${event.instead_of})`,
  };
  const item = element("li", name === "failed" ? "bad" : "", (texts[name] ?? (() => name))());
  item.prepend(element("small", "dim", `${number(seconds, 2)} ${word("seconds")} `));
  return item;
}

/** A card for each provider: [name, what is known of it, the parts that tell it]. A card whose provider said nothing
 * new stays as it is, and none that is there comes anew: else all of them would blink at every event.
 */
function drawCards(rows) {
  const there = new Map([...cards.children].map((card) => [card.dataset.provider, card]));
  rows.forEach(([name, known, parts], place) => {
    const card = there.get(name) ?? element("article", "card");
    const says = JSON.stringify([document.documentElement.lang, known]);
    there.delete(name);
    if (card.dataset.provider !== name || said.get(card) !== says) card.replaceChildren(parts());
    card.dataset.provider = name;
    said.set(card, says);
    if (cards.children[place] !== card) cards.insertBefore(card, cards.children[place] ?? null);
  });
  for (const card of there.values()) card.remove();
}

function drawLive(live) {
  const list = document.getElementById("timeline");
  const of = `${live.started} ${document.documentElement.lang}`;
  if (list.dataset.of !== of) list.replaceChildren();
  list.dataset.of = of;
  list.append(...live.log.slice(list.children.length).map(logLine));
}

function list(title, lines) {
  if (lines.length === 0) return [];
  const items = element("ul");
  items.append(...lines.map((line) => element("li", "", line)));
  return [element("h3", "", word(title)), items];
}

function bounced(b) {
  const after = b.after === null ? "–" : number(b.after, 2);
  return `${b.provider} (${b.round}): ${number(b.before, 2)} → ${after}, ${word(b.kept ? "revised" : "unrevised")}: ${b.claims.join(" / ")}`;
}

function escalated(e) {
  return `${word(e.tier)} ← ${word("reasons")[e.reason] ?? e.reason}: ${e.providers.join(", ")}`;
}

function drawGrades(body) {
  const table = document.getElementById("grades");
  const head = element("tr");
  const columns = ["grader", "subject", "grade", "correctness", "safety", "completeness", "claims"];
  head.append(...columns.map((name) => element("th", "", word(name))));
  const rows = body.grades.map((g) => {
    const row = element("tr");
    const scores = ["correctness", "safety", "completeness"].map((name) => {
      const cell = element("td", "", g[name] ? `${g[name].score}/4` : "–");
      cell.title = g[name]?.evidence ?? "";
      return cell;
    });
    const stances = `${word("entails")} ${g.entails} · ${word("contradicts")} ${g.contradicts} · ${word("silent")} ${g.silent}${g.absent ? ` · ${word("absent")} ${g.absent}` : ""}`;
    row.append(element("td", "", g.grader), element("td", "", g.subject), element("td", "", number(g.mean, 2)), ...scores, element("td", "", stances));
    return row;
  });
  table.replaceChildren(...(rows.length ? [head, ...rows] : []));
}

function dangers(title, commands) {
  const lines = commands.map((d) => {
    const line = element("li");
    if (d.command) line.append(element("code", "", d.command), " ");
    line.append(element("span", "", d.why));
    return line;
  });
  if (lines.length) lines[0].prepend(element("strong", "", `${word(title)}: `));
  return lines;
}

function drawExamination(body) {
  document.getElementById("lists").replaceChildren(
    ...list("unsettled", body.unsettled.map((u) => `${u.claim} ⇔ ${u.against.map((a) => `${a.provider}: ${a.evidence}`).join(" / ")}`)),
    ...list("dissent", body.dissent.map((d) => `${d.provider}: ${d.root_cause} (${word("grade")} ${number(d.grade, 2)})`)),
    ...list("amendments", body.amendments.map((a) => `${a.provider}: ${a.claim}`)),
    ...list("bounces", body.bounces.map(bounced)),
    ...list("escalations", body.escalations.map(escalated)),
  );
  drawGrades(body);
  document.getElementById("danger").replaceChildren(...dangers("destructive", body.destructive), ...dangers("hazards", body.hazards ?? []));
}

function drawAnswer(body) {
  document.getElementById("answer").replaceChildren(written(body));
  const badges = [badge(word(body.accepted ? "accepted" : body.outcome === "refused" ? "refusedAnswer" : "notAccepted"), body.accepted ? "good" : body.outcome === "refused" ? "bad" : "warn")];
  if (body.tier !== body.task_type) badges.push(badge(`→ ${word(body.tier)}`, "dim"));
  if (body.simulated) badges.unshift(badge(word("simulated"), "warn"));
  if (!body.calibrated) badges.push(badge(word("provisional"), "dim"));
  if (body.cache === "hit") badges.push(badge(word("cached"), "dim"));
  document.getElementById("badges").replaceChildren(...badges);
  document.getElementById("of").textContent = questionOf(body.request_id);
  if (link.dataset.of !== body.request_id + document.documentElement.lang) link.replaceChildren(copyButton(() => location.origin + linkTo(body.request_id), "copyLink"));
  link.dataset.of = body.request_id + document.documentElement.lang;
  document.getElementById("scores").replaceChildren(
    score("confidence", number(body.confidence, 2), number(body.thresholds.confidence, 2)),
    score("consensus", number(body.consensus, 2), number(body.thresholds.consensus, 2)),
    score("cost", cost(body.cost_usd)),
    score("time", `${number(body.processing_ms / 1000, 2)} ${word("seconds")}`),
  );
  const notes = body.notes.map((note) => element("li", "", word("notes")[note] ?? note));
  const masked = Object.entries(body.masked ?? {}).map(([kind, count]) => `${kind.replaceAll("_", " ")} (${count})`);
  if (masked.length) notes.push(element("li", "", `${word("masked")}: ${masked.join(", ")}`));
  for (const source of body.sources ?? []) notes.push(element("li", "", `${word(source.cited ? "cited" : "ownPage")}: ${source.file} ${source.heading}`));
  document.getElementById("notes").replaceChildren(...notes);
  drawCards(body.providers.map((provider) => [provider.name, provider, () => providerParts(provider, body.answered_by)]));
  drawHeadline(body);
  drawExamination(body);
}

function drawProblem(body) {
  const title = element("p", "text");
  title.append(element("strong", "", body.title ?? ""), " ", element("span", "", body.detail ?? ""));
  problem.replaceChildren(title);
  for (const provider of body.providers ?? []) {
    problem.append(element("p", "text", `${provider.name}: ${why(provider.error)}: ${provider.error.message}`));
  }
  const facts = [];
  if (body.code) facts.push(`${word("code")} ${body.code}`);
  if (body.retry_after) facts.push(`${body.retry_after} ${word("retry")}`);
  if (body.request_id) facts.push(`${word("requestId")} ${body.request_id}`);
  problem.append(element("small", "dim", facts.join(" · ")));
}

function tier() {
  return new FormData(form).get("tier");
}

function draw() {
  document.getElementById("offer").textContent = offer(tier());
  drawHistory(open, shown?.answer?.request_id);
  result.hidden = shown?.answer === undefined;
  examination.hidden = result.hidden;
  const happened = (shown?.live?.log.length ?? 0) > 0; // nothing where the answer came from the cache
  each.hidden = !happened && result.hidden;
  document.getElementById("timeline-title").hidden = !happened;
  problem.hidden = shown?.problem === undefined;
  if (shown?.live) drawLive(shown.live);
  if (shown?.live && !shown.answer) drawCards(Object.entries(shown.live.providers).map(([name, known]) => [name, known, () => liveParts(name, known)]));
  if (shown?.answer) drawAnswer(shown.answer);
  if (shown?.problem) drawProblem(shown.problem);
  status.textContent = shown?.status ? word(shown.status) : "";
  const log = shown?.status === "asking" ? shown.live?.log ?? [] : [];
  const count = (name) => log.filter(([kind]) => kind === name).length;
  if (shown?.live?.phase && log.length) status.textContent = word("phases")[shown.live.phase];
  if (log.length) status.textContent += ` ${word("progress")}: ${word("answersSoFar")} ${count("answered")} · ${word("gradingsSoFar")} ${count("graded")}`;
}

function show(next) {
  shown = next;
  draw();
}

/** What asks for an answer in the language that the reader chose for the pages, if any: else the stack decides. */
function asIn(language) {
  return language ? { language } : {};
}

/** A name of its own for a question. Not crypto.randomUUID, which pages by plain http don't have. */
function freshKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The question as it is sent: the same again where it was not answered, so that it is paid once. */
function question() {
  const body = JSON.stringify({ prompt: prompt.value, task_type: tier(), ...asIn(chosenLanguage()) });
  return { body, headers: headers({ "Content-Type": "application/json", Accept: "text/event-stream", "Idempotency-Key": freshKey() }) };
}

/** A second's wait, which ends with `signal`. */
function pause(signal) {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else {
      setTimeout(resolve, 1000);
      signal.addEventListener("abort", resolve, { once: true });
    }
  });
}

/** The answer, or the problem, of a question; it is sent again once where it broke off or its instance ended. */
async function request(signal, live) {
  const sent = question();
  try {
    const outcome = await attempt(sent, signal, live);
    if (outcome.answer || ![undefined, 502, 503, 504].includes(outcome.problem?.status)) return outcome;
  } catch (error) {
    if (signal.aborted) throw error;
  }
  await pause(signal);
  return attempt(sent, signal, { started: performance.now(), providers: {}, log: [] });
}

async function attempt(sent, signal, live) {
  const response = await fetch("/api/v1/generate?html=true", { method: "POST", ...sent, signal });
  if (!response.ok) {
    const body = await response.json().catch(() => ({ title: `HTTP ${response.status}`, detail: word("badReply") }));
    if (response.status === 401 && !headers().Authorization) body.detail = word("keyNeeded");
    return { problem: { ...body, retry_after: response.headers.get("Retry-After") } };
  }
  let end = null;
  await events(response, ({ name, data }) => {
    const event = JSON.parse(data);
    if (name === "verdict") end = { answer: event, status: "done" };
    else if (name === "problem") end = { problem: event };
    else {
      learn(live, name, event);
      if (underWay?.signal === signal) show({ status: "asking", live });
    }
  });
  return { ...(end ?? { problem: { title: word("failed"), detail: word("streamEnded") } }), live };
}

/** Does `work`, which a signal ends, in place of what is under way, and shows what comes of it. */
async function during(work, doing) {
  underWay?.abort();
  const mine = new AbortController();
  underWay = mine;
  send.disabled = doing === "asking";
  stop.hidden = false;
  show({ status: doing });
  let next;
  try {
    next = await work(mine.signal);
  } catch {
    next = mine.signal.aborted ? { status: "stopped" } : { problem: { title: word("failed"), detail: word("unreachable") } };
  }
  if (underWay !== mine) return;
  underWay = null;
  send.disabled = false;
  stop.hidden = true;
  show(next);
}

async function ask() {
  const [asked, asTier] = [prompt.value, tier()];
  await during(async (signal) => {
    const next = await request(signal, { started: performance.now(), providers: {}, log: [] });
    if (next.answer && underWay?.signal === signal) {
      note(next.answer.request_id, asked, asTier);
      answered = asked;
      history.pushState(null, "", linkTo(next.answer.request_id));
    }
    return next;
  }, "asking");
}

/** Shows the answer `id` again; nothing is asked. */
function open(id) {
  if (named() !== id) history.pushState(null, "", linkTo(id));
  return during((signal) => recall(id, signal), "recalling");
}

/** Shows what the address names. */
function follow() {
  if (named()) open(named());
  else {
    underWay?.abort();
    show(null);
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  takeKey();
  if (prompt.value.trim()) ask();
});
// Wherever the reader is, for a tier may have been chosen since, or an answer read; a form of its own sends itself.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.repeat) return;
  if ((event.target.form ?? form) !== form) return;
  event.preventDefault();
  if (!send.disabled) form.requestSubmit();
});
stop.addEventListener("click", () => underWay?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") underWay?.abort();
});
for (const choice of form.elements.tier) choice.addEventListener("change", draw);
window.addEventListener("popstate", follow);
const askOffer = followOffer(prompt, draw);

function useKey() {
  draw();
  askOffer();
  if (named()) open(named());
}

setUp(draw, useKey, () => {
  if (prompt.value.trim() && prompt.value !== answered && !send.disabled) form.requestSubmit();
  else useKey();
});
draw();
askOffer();
prompt.focus();
if (named()) open(named());
