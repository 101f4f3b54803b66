// Follows a stream of server-sent events with fetch, which unlike EventSource can send an API key.

import { headers } from "/web/words.js";

const SILENCE = 40_000;
const LONGEST_PAUSE = 15_000;

/** Reads one response's events until it ends: `on({name, data, id})` for each, `retry(ms)` for a hint. */
export async function events(response, on, retry = () => {}) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { name: "message", data: "", id: "" };
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const at = line.indexOf(":");
      const field = at < 0 ? line : line.slice(0, at);
      const text = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
      if (line === "") {
        if (event.data) on(event);
        event = { name: "message", data: "", id: event.id };
      } else if (field === "data") event.data += (event.data ? "\n" : "") + text;
      else if (field === "event") event.name = text;
      else if (field === "id") event.id = text;
      else if (field === "retry") retry(Number(text));
    }
  }
}

/**
 * Follows `url` until `signal` aborts, over lost connections: `onData(value)` for each message and
 * `onState("live")`, `onState("lost", seconds until the next try, HTTP status)`.
 */
export async function follow(url, { onData, onState, signal }) {
  let lastId = "";
  let pause = 1000;
  while (!signal.aborted) {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    signal.addEventListener("abort", stop);
    let watchdog = setTimeout(stop, SILENCE);
    let status = 0;
    try {
      const more = lastId ? { "Last-Event-ID": lastId } : {};
      const response = await fetch(url, { headers: headers({ Accept: "text/event-stream", ...more }), signal: attempt.signal });
      status = response.status;
      if (response.ok) {
        onState("live");
        await events(response, (event) => {
          clearTimeout(watchdog);
          watchdog = setTimeout(stop, SILENCE);
          lastId = event.id;
          pause = 1000;
          onData(JSON.parse(event.data));
        });
      }
    } catch { /* lost: told below, and tried again */ }
    clearTimeout(watchdog);
    signal.removeEventListener("abort", stop);
    if (signal.aborted) return;
    onState("lost", Math.round(pause / 1000), status);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, pause);
      signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
    });
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}
