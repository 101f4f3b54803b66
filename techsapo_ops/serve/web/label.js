// What a person says of an answer. Only the button of its form says it: opening a page or a link never does.

import { element, post, word } from "/web/words.js";

const SAID = ["right", "partly", "wrong", "unused", "unknown"];

function choice(name, title, values, words) {
  const set = element("fieldset");
  set.append(element("legend", "", title));
  for (const value of values) {
    const label = element("label");
    const box = Object.assign(element("input"), { type: "radio", name, value, required: name === "label" });
    label.append(box, element("span", "", words[value]));
    set.append(label);
  }
  return set;
}

/** A form about the answer of that request; `via` says where it stands. */
export function feedbackForm(request, via) {
  const form = element("form", "feedback");
  const state = Object.assign(element("p", "dim"), { role: "status" });
  form.append(
    choice("label", word("wasRight"), SAID, word("labels")),
    choice("solved", word("wasSolved"), ["yes", "no"], word("solvedWords")),
    element("button", "quiet", word("sendLabel")), state,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = new FormData(form);
    const solved = { yes: true, no: false }[given.get("solved")] ?? null;
    try {
      const stored = await post("/api/v1/feedback", { request_id: request, label: given.get("label"), solved, via });
      state.textContent = `${word("labelStored")}${word("colon")}${word("labels")[stored.label]}${stored.who ? ` (${stored.who})` : ""}`;
    } catch (error) {
      const refused = error.status === 401 || error.status === 403;
      state.textContent = refused ? word("labelKey") : error.detail;
      form.querySelector("button").disabled = refused; // a key that is used for what it may not do is an alert
    }
  });
  return form;
}
