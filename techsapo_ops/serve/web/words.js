// The reader's choices (language, theme, API key), and the words and requests that follow them.

import { WORDS } from "/web/dictionary.js";

const KEY = "techsapo-api-key";
/** Where history.js keeps what was asked. */
export const HISTORY = "techsapo-history";

function stored(key, storage = "localStorage") {
  try { return window[storage].getItem(key); } catch { return null; }
}

function store(key, value, storage = "localStorage") {
  try { window[storage].setItem(key, value); } catch { /* a private window keeps nothing; the choice lasts for this page */ }
}

const root = document.documentElement;
// The server has chosen it: `?lang=`, the cookie, Accept-Language, or the stack's locale.
let language = root.lang;
let apiKey = stored(KEY, "sessionStorage") ?? "";
/** Takes the key that is in its field, and says whether it is another one. For a press of the reader's: what asks by
 * itself while a key is being typed would send a part of it. */
export let takeKey = () => false;

/** The language that the reader chose for the pages; null where that is left to the stack. */
export function chosenLanguage() {
  return /(?:^|; )techsapo_language=(ja|en)(?:;|$)/.exec(document.cookie)?.[1] ?? null;
}

export function word(key) {
  return WORDS[language][key] ?? key;
}

/** The text of an object with a `ja` and an `en`. */
export function local(words) {
  return words[language];
}

/** A number of the language; a dash where nobody gave one. */
export function number(value, digits) {
  if (value === null) return "–";
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A time of day has 24 hours in both languages, as on the axes. */
export function moment(date, options) {
  return date.toLocaleString(language, { hourCycle: "h23", ...options });
}

/** A moment as messages say it: to the second, with the name of the time zone, which here is the reader's. */
export function stamp(date) {
  const parts = new Intl.DateTimeFormat(language, { timeZoneName: "short" }).formatToParts(date);
  const zone = parts.find((part) => part.type === "timeZoneName").value;
  return `${date.toLocaleString("sv-SE")} ${zone}`;
}

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Draws, and leaves the focus where the reader has it: on what takes the place of the one that had it. */
export function inPlace(root, draw) {
  const path = [];
  const held = document.activeElement;
  for (let node = root.contains(held) ? held : root; node !== root; node = node.parentElement) path.unshift([...node.parentElement.children].indexOf(node));
  draw();
  if (path.length === 0 || held.isConnected) return;
  const next = path.reduce((node, place) => node?.children[place], root);
  if (next?.tagName === held.tagName) next.focus({ preventScroll: true });
}

/** Headers with the page's language, and the reader's API key, where there is one. */
export function headers(more = {}) {
  const all = { "Accept-Language": language, ...more };
  return apiKey ? { ...all, Authorization: `Bearer ${apiKey}` } : all;
}

/** What a page says where it is refused with `status`: without a key, or with one that opens other things. */
export function refusal(status) {
  if (status === 401 || (status === 403 && !apiKey)) return word("keyNeeded");
  return status === 403 ? word("keyMayNot") : undefined;
}

/** GET as JSON; an error has `status` (0 when nobody answered) and a `detail`. */
export function get(path) {
  return asked(path, { headers: headers() });
}

/** POST of JSON, with the same errors. */
export function post(path, value) {
  return asked(path, { method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(value) });
}

async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw Object.assign(new Error(), { status: 0, detail: word("unreachable") });
  }
  const body = await response.json().catch(() => ({ detail: word("badReply") }));
  if (response.ok) return body;
  const detail = refusal(response.status) ?? body.detail ?? "";
  throw Object.assign(new Error(), { status: response.status, detail });
}

function apply() {
  root.lang = language;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = word(node.dataset.text);
  for (const node of document.querySelectorAll("[data-placeholder]")) node.placeholder = word(node.dataset.placeholder);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", word(node.dataset.label));
  const toggle = document.getElementById("language");
  toggle.textContent = word("other");
  toggle.lang = language === "ja" ? "en" : "ja";
}

function applyTheme(theme) {
  if (theme) root.dataset.theme = theme;
}

function labelled(tag, text, className) {
  const made = element(tag, className);
  made.dataset.text = text;
  return made;
}

/** With another key there is somebody else. */
function forgetWhatWasAsked() {
  try { sessionStorage.removeItem(HISTORY); } catch { /* nothing is kept */ }
}

/** The bar where the API key is entered; `use` is called when there is a new one, `enter` for Enter in it. */
function keyBar(use, enter) {
  const bar = element("form", "keybar");
  const label = labelled("label", "key");
  label.htmlFor = "key";
  const field = Object.assign(element("input"), { type: "password", id: "key", autocomplete: "off", value: apiKey });
  bar.append(label, field, labelled("button", "keySave", "quiet"), labelled("small", "keyHint", "dim"));
  takeKey = () => {
    const given = field.value.trim();
    if (given === apiKey) return false;
    forgetWhatWasAsked();
    apiKey = given;
    store(KEY, apiKey, "sessionStorage");
    return true;
  };
  bar.addEventListener("submit", (event) => {
    event.preventDefault();
    takeKey();
    use();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.repeat) return;
    event.preventDefault();
    takeKey();
    enter();
  });
  // Whoever goes on to the question has entered a key as well: without this it was asked for again.
  field.addEventListener("change", () => { if (takeKey()) use(); });
  document.querySelector("header").after(bar);
}

export function setUp(redraw, useKey = redraw, enterKey = useKey) {
  applyTheme(stored("theme"));
  if (root.dataset.keys === "on") keyBar(useKey, enterKey);
  document.getElementById("language").addEventListener("click", () => {
    language = language === "ja" ? "en" : "ja";
    document.cookie = `techsapo_language=${language}; path=/; max-age=31536000; samesite=lax`;
    apply();
    redraw();
  });
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    const theme = dark ? "light" : "dark";
    store("theme", theme);
    applyTheme(theme);
  });
  apply();
}
