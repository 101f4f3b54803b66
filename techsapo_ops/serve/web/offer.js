// What the chosen tier asks and costs, said before anything is sent.

import { get, number, word } from "/web/words.js";

const PAUSE = 600;
const STEP = 500;
let told = null;
let characters = -STEP;
let timer = 0;

function cost(usd) {
  return `$${number(usd, usd === 0 || usd >= 0.01 ? 2 : 6)}`;
}

/** The lines for `tier`; none while nobody told them. */
export function offer(tier) {
  const found = told?.tiers.find((each) => each.task_type === tier);
  if (!found) return "";
  const parts = [`${word("asks")} ${found.providers.map((provider) => provider.name).join(", ") || word("nobodyToAsk")}`];
  if (found.providers.length < found.wanted) parts.push(`${word("fewer")} ${found.wanted}`);
  parts.push(`${word("confidence")} ${number(found.confidence, 2)} · ${word("consensus")} ${number(found.consensus, 2)} ${word("upwards")}`);
  const costs = [`${word("atMost")} ${cost(found.most_usd)}`];
  parts.push(told.simulated ? `${costs.join(", ")} – ${word("pretended")}` : costs.join(", "));
  return parts.join(" · ");
}

/** Follows how long the question in `field` is, which the cost depends on; `redraw` shows what came of it. */
export function followOffer(field, redraw) {
  const ask = async () => {
    const length = field.value.length;
    if (Math.abs(length - characters) < STEP) return;
    characters = length;
    try {
      told = await get(`/api/v1/tiers?characters=${length}`);
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
