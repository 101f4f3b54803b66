// The Ask page: one question, the answer, and what each provider said.

import { element, number, setUp, word } from "/web/words.js";

const form = document.getElementById("form");
const prompt = document.getElementById("prompt");
const send = document.getElementById("send");
const stop = document.getElementById("stop");
const status = document.getElementById("status");
const problem = document.getElementById("problem");
const result = document.getElementById("result");

let shown = null;
let underWay = null;

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

function providerCard(provider) {
  const card = element("article", "card");
  const title = element("h3", "", provider.name);
  title.append(element("small", "dim", provider.model));
  card.append(title);
  if (provider.status === "failed") {
    title.append(badge(word("failed"), "bad"));
    const kind = word("kinds")[provider.error.kind] ?? provider.error.kind;
    card.append(element("p", "text", `${kind}: ${provider.error.message}`));
  } else {
    card.append(element("p", "text", provider.answer));
  }
  if (provider.agrees === false) title.append(badge(word("dissents"), "warn"));
  const facts = [`${number(provider.seconds, 2)} ${word("seconds")}`, cost(provider.cost_usd)];
  if (typeof provider.grade === "number") facts.push(`${word("grade")} ${number(provider.grade, 2)}`);
  if (typeof provider.self_confidence === "number") facts.push(`${word("sure")} ${number(provider.self_confidence, 2)}`);
  if (provider.tokens) facts.push(`${provider.tokens.input}+${provider.tokens.output} ${word("tokens")}`);
  card.append(element("p", "meta", facts.join(" · ")));
  return card;
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
      const cell = element("td", "", `${g[name].score}/4`);
      cell.title = g[name].evidence;
      return cell;
    });
    const stances = `${word("entails")} ${g.entails} · ${word("contradicts")} ${g.contradicts} · ${word("silent")} ${g.silent}`;
    row.append(element("td", "", g.grader), element("td", "", g.subject), element("td", "", number(g.mean, 2)), ...scores, element("td", "", stances));
    return row;
  });
  table.replaceChildren(...(rows.length ? [head, ...rows] : []));
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
  const lines = body.destructive.map((d) => {
    const line = element("li");
    if (d.command) line.append(element("code", "", d.command), " ");
    line.append(element("span", "", d.why));
    return line;
  });
  if (lines.length) lines[0].prepend(element("strong", "", `${word("destructive")}: `));
  document.getElementById("danger").replaceChildren(...lines);
}

function drawAnswer(body) {
  document.getElementById("answer").textContent = body.answer;
  const badges = [badge(word(body.accepted ? "accepted" : body.outcome === "refused" ? "refusedAnswer" : "notAccepted"), body.accepted ? "good" : body.outcome === "refused" ? "bad" : "warn")];
  if (body.tier !== body.task_type) badges.push(badge(`→ ${word(body.tier)}`, "dim"));
  if (body.simulated) badges.unshift(badge(word("simulated"), "warn"));
  if (!body.calibrated) badges.push(badge(word("provisional"), "dim"));
  if (body.cache === "hit") badges.push(badge(word("cached"), "dim"));
  document.getElementById("badges").replaceChildren(...badges);
  document.getElementById("scores").replaceChildren(
    score("confidence", number(body.confidence, 2), number(body.thresholds.confidence, 2)),
    score("consensus", number(body.consensus, 2), number(body.thresholds.consensus, 2)),
    score("cost", cost(body.cost_usd)),
    score("time", `${number(body.processing_ms / 1000, 2)} ${word("seconds")}`),
  );
  const notes = body.notes.map((note) => element("li", "", word("notes")[note] ?? note));
  document.getElementById("notes").replaceChildren(...notes);
  document.getElementById("providers").replaceChildren(...body.providers.map(providerCard));
  drawExamination(body);
}

function drawProblem(body) {
  const title = element("p", "text");
  title.append(element("strong", "", body.title ?? ""), " ", element("span", "", body.detail ?? ""));
  problem.replaceChildren(title);
  for (const provider of body.providers ?? []) {
    const kind = word("kinds")[provider.error.kind] ?? provider.error.kind;
    problem.append(element("p", "text", `${provider.name}: ${kind}: ${provider.error.message}`));
  }
  const facts = [];
  if (body.code) facts.push(`${word("code")} ${body.code}`);
  if (body.retryAfter) facts.push(`${body.retryAfter} ${word("retry")}`);
  if (body.request_id) facts.push(`${word("requestId")} ${body.request_id}`);
  problem.append(element("small", "dim", facts.join(" · ")));
}

function draw() {
  result.hidden = shown?.answer === undefined;
  problem.hidden = shown?.problem === undefined;
  if (shown?.answer) drawAnswer(shown.answer);
  if (shown?.problem) drawProblem(shown.problem);
  status.textContent = shown?.status ? word(shown.status) : "";
}

function show(next) {
  shown = next;
  draw();
}

async function request(signal) {
  const tier = new FormData(form).get("tier");
  const response = await fetch("/api/v1/generate", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ prompt: prompt.value, task_type: tier }),
    signal,
  });
  let body;
  try {
    body = await response.json();
  } catch {
    return { problem: { title: `HTTP ${response.status}`, detail: word("badReply") } };
  }
  if (response.ok) return { answer: body, status: "done" };
  return { problem: { ...body, retryAfter: response.headers.get("Retry-After") } };
}

async function ask() {
  underWay?.abort();
  const mine = new AbortController();
  underWay = mine;
  send.disabled = true;
  stop.hidden = false;
  show({ status: "asking" });
  let next;
  try {
    next = await request(mine.signal);
  } catch {
    next = mine.signal.aborted ? { status: "stopped" } : { problem: { title: word("failed"), detail: word("unreachable") } };
  }
  if (underWay !== mine) return;
  underWay = null;
  send.disabled = false;
  stop.hidden = true;
  show(next);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (prompt.value.trim()) ask();
});
prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
stop.addEventListener("click", () => underWay?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") underWay?.abort();
});
setUp(draw);
prompt.focus();
