// What is looked at, in the page's address, so that it can be shared and the back button works:
//   /dashboards?span=6h&instance=app-1&provider=gpt&from=…&to=…&series=PANEL:LINE#DASHBOARD
// Times are Unix seconds; `series` are the lines shown of a panel, by its place, where not all are.

const WORDS = ["span", "instance", "provider"];
const MOMENT = /^\d{1,11}$/u;

/** The view that the address names; what it does not name is "" or null. */
export function read() {
  const query = new URLSearchParams(location.search);
  const view = { dashboard: location.hash.slice(1), from: null, to: null, series: {} };
  for (const name of WORDS) view[name] = query.get(name) ?? "";
  const [from, to] = [query.get("from") ?? "", query.get("to") ?? ""];
  if (MOMENT.test(from) && MOMENT.test(to) && Number(to) > Number(from)) Object.assign(view, { from: Number(from), to: Number(to) });
  for (const named of query.getAll("series")) {
    const at = named.indexOf(":");
    if (MOMENT.test(named.slice(0, at))) (view.series[named.slice(0, at)] ??= []).push(named.slice(at + 1));
  }
  return view;
}

function query(view) {
  const made = new URLSearchParams();
  for (const name of WORDS) if (view[name]) made.set(name, view[name]);
  if (view.from !== null) {
    made.set("from", view.from);
    made.set("to", view.to);
  }
  return made;
}

/** The address of `view`; of another dashboard it has the same time and choices, and all lines. */
export function addressOf(view, dashboard = view.dashboard) {
  const made = query(view);
  const lang = new URLSearchParams(location.search).get("lang");
  if (lang !== null) made.set("lang", lang);
  if (dashboard === view.dashboard) for (const [panel, names] of Object.entries(view.series)) for (const name of names) made.append("series", `${panel}:${name}`);
  const text = made.toString();
  return `${location.pathname}${text ? `?${text}` : ""}#${dashboard}`;
}

/** What the API is asked for. */
export function asked(view) {
  return query(view).toString();
}

/** Puts `view` into the address; the back button leads to what was there before. */
export function go(view) {
  if (addressOf(view) !== `${location.pathname}${location.search}${location.hash}`) history.pushState(null, "", addressOf(view));
}
