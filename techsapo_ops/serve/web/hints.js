// What brings figures where there are none.

import { element, word } from "/web/words.js";

/** The words for what `origin` brings; commands are in backquotes. */
export function hinted(origin) {
  const text = element("p", "hint dim");
  word("hints")[origin].split("`").forEach((part, n) => text.append(n % 2 ? element("code", "", part) : part));
  return text;
}
