// The page behind a message's links: stored answers, each with a form. Opening it labels nothing.

import { feedbackForm } from "/web/label.js";
import { element, get, setUp, stamp, word } from "/web/words.js";

const MOST = 20;
const host = document.getElementById("answers");
const ids = new URLSearchParams(location.search).getAll("id").filter((id) => /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/u.test(id)).slice(0, MOST);

async function card(id) {
  const made = element("article", "card");
  try {
    const { time, prompt, answer } = await get(`/api/v1/feedback/${encodeURIComponent(id)}`);
    made.append(
      element("small", "dim", stamp(new Date(time))),
      element("h3", "", word("question")), element("p", "text", prompt ?? word("notStored")),
      element("h3", "", word("answer")), element("p", "text", answer ?? word("notStored")),
      feedbackForm(id, "message"),
    );
  } catch (error) {
    made.append(element("p", "text", `${id}: ${error.status === 401 || error.status === 403 ? word("labelKey") : error.detail}`));
  }
  return made;
}

async function draw() {
  host.replaceChildren(...(ids.length ? await Promise.all(ids.map(card)) : [element("p", "dim", word("nothingToLabel"))]));
}

setUp(draw);
draw();
