// A page of the documentation, in one language: the button for the other leads to its twin, which is named at the page's top.

import { setUp } from "/web/words.js";

setUp(() => {
  const twin = document.querySelector("article.help p a");
  const here = location.pathname.split("/");
  if (twin?.pathname.endsWith(`/${here[3]}`)) location.assign(twin.href);
});
