// What a model wrote, as the server made HTML of it: see markup.py, which lets nothing through that acts or fetches.

import { element, word } from "/web/words.js";

/** Copies `text`; pages by plain http have no clipboard of their own. Resolves to whether that worked. */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { /* tried below in the way of old */ }
  const field = Object.assign(element("textarea"), { value: text, readOnly: true });
  document.body.append(field);
  const focused = document.activeElement;
  field.select();
  const worked = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return worked;
}

/** A button that copies what `text` gives. What it did is announced, and said on it for a while. */
export function copyButton(text, name = "copy") {
  const button = Object.assign(element("button", "quiet copy", word(name)), { type: "button" });
  button.addEventListener("click", async () => {
    const message = word((await copied(text())) ? "copied" : "notCopied");
    button.textContent = message;
    document.getElementById("status").textContent = message;
    setTimeout(() => { button.textContent = word(name); }, 2000);
  });
  return button;
}

/** The text of `source`, with a button at each block of code: its HTML, else its words as they are. */
export function written(source) {
  if (typeof source.answer_html !== "string") return element("p", "text", source.answer);
  const made = element("div", "written");
  made.append(...new DOMParser().parseFromString(source.answer_html, "text/html").body.childNodes);
  for (const block of made.querySelectorAll("pre")) {
    const box = element("div", "block");
    block.replaceWith(box);
    // Without the line's end: pasted into a terminal it would run at once.
    box.append(block, copyButton(() => block.textContent.replace(/\n+$/u, "")));
  }
  for (const table of made.querySelectorAll("table")) {
    const box = element("div", "wide");
    table.replaceWith(box);
    box.append(table);
  }
  return made;
}
