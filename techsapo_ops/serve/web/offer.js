// What the chosen tier asks and costs, said before anything is sent.

import { get, number, word } from "/web/words.js";

const PAUSE = 600;
const STEP = 500;
let offers = null;
let characters = -STEP;
let timer = 0;

function cost(usd) {
  return `$${number(usd, usd === 0 || usd >= 0.01 ? 2 : 6)}`;
}

/** The lines for `tier`; empty until the server has sent them. */
export function offer(tier) {
  const entry = offers?.tiers.find((each) => each.task_type === tier);
  if (!entry) return "";
  const parts = [`${word("asks")} ${entry.providers.map((provider) => provider.name).join(", ") || word("nobodyToAsk")}`];
  if (entry.providers.length < entry.wanted) parts.push(`${word("fewer")} ${entry.wanted}`);
  parts.push(`${word("confidence")} ${number(entry.confidence, 2)} · ${word("consensus")} ${number(entry.consensus, 2)} ${word("upwards")}`);
  const costs = [`${word("atMost")} ${cost(entry.most_usd)}`];
  parts.push(offers.simulated ? `${costs.join(", ")} – ${word("pretended")}` : costs.join(", "));
  return parts.join(" · ");
}

/** Follows how long the question in `field` is, which the cost depends on; `redraw` shows what came of it. */
export function followOffer(field, redraw) {
  const ask = async () => {
    const length = field.value.length;
    if (Math.abs(length - characters) < STEP) return;
    characters = length;
    try {
      offers = await get(`/api/v1/tiers?characters=${length}`);
    } catch {
      characters = -STEP; // without a key, or without a server: the question itself will say so
    }
    redraw();
  };
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  });
  return ask;
}
