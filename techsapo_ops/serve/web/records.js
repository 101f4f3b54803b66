// What became of answers, by what people say: of one model, and of all.

import { element, get, number, stamp, word } from "/web/words.js";

const PATH = "/api/v1/feedback/records";

function percent(part, whole) {
  return `${number((100 * part) / whole, 0)} %`;
}

/** A model's record in words: how often it dissents, and how often it was right. */
function recordText(record) {
  const parts = [];
  if (record?.compared) parts.push(`${word("recordDissents")} ${percent(record.dissented, record.compared)} (${record.compared})`);
  if (record?.judged) parts.push(`${word("recordRight")} ${percent(record.right, record.judged)} (${record.judged})`);
  return parts.join(" · ") || word("noRecord");
}

/** A model's record, which is read when it is opened. */
export function recordOf(model) {
  const box = element("details");
  const text = element("p", "meta");
  box.append(element("summary", "", word("record")), text);
  box.addEventListener("toggle", async () => {
    if (!box.open) return;
    try {
      const { models } = await get(PATH);
      text.textContent = recordText(models.find((each) => each.model === model));
    } catch (error) {
      text.textContent = error.detail;
    }
  });
  return box;
}

/** All records, and what became of the answers, into `host`. */
export async function drawRecords(host) {
  let known;
  try {
    known = await get(PATH);
  } catch (error) {
    host.replaceChildren(element("p", "dim", error.detail));
    return;
  }
  const list = element("ul", "facts");
  for (const each of known.models) {
    const item = element("li");
    item.append(element("span", "name", each.model), element("span", "dim", recordText(each)));
    list.append(item);
  }
  const texts = word("balance");
  const lines = known.judged === 0 ? [texts.none] : [
    texts.sure.replace("{right}", known.sure_right).replace("{all}", known.sure),
    texts.declined.replace("{right}", known.declined_right).replace("{all}", known.declined),
    ...(known.usd_per_right === null ? [] : [texts.money.replace("{usd}", `$${number(known.usd_per_right, 4)}`)]),
  ];
  if (known.counted_since) lines.push(word("countedSince").replace("{time}", stamp(new Date(known.counted_since))));
  if (known.simulated) lines.unshift(word("simulated"));
  host.replaceChildren(...lines.map((line) => element("p", "", line)), list);
}
