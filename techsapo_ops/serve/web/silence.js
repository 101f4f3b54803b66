// The form that silences an alert: nothing happens before it is sent.

import { headers, setUp, stamp, takeKey, word } from "/web/words.js";

const form = document.getElementById("silence");
const status = document.getElementById("status");
let told = null;

function draw() {
  if (!told) return;
  status.className = told.until ? "good" : "bad";
  status.textContent = told.until
    ? `${word("silenceDone")} ${stamp(new Date(told.until))} (${told.id.slice(0, 8)}, ${told.by})`
    : told.detail;
}

async function send(event) {
  event.preventDefault();
  takeKey();
  const button = form.querySelector("button");
  button.disabled = true;
  const body = JSON.stringify({ hours: Number(form.elements.hours.value), comment: form.elements.comment.value });
  try {
    const response = await fetch(`/api/v1/alerts/${form.dataset.alert}/silence`, {
      method: "POST",
      headers: headers({ "Content-Type": "application/json" }),
      body,
    });
    told = await response.json().catch(() => ({ detail: word("badReply") }));
    if (response.status === 401 || response.status === 403) told.detail = `${word("silenceRight")} ${told.detail}`;
    button.disabled = response.ok;
  } catch {
    told = { detail: word("unreachable") };
    button.disabled = false;
  }
  draw();
}

setUp(draw);
form?.addEventListener("submit", send);
