// What an incident's time line holds, in words: its evidence, and what happened when.

import { element, stamp, word } from "/web/words.js";

const FIRST = 10;

/** The newest entry of that kind; undefined where there is none. */
export function latest(incident, kind) {
  return incident.timeline.findLast((entry) => entry.kind === kind && entry.detail);
}

function pieces(list) {
  const made = element("ul", "facts");
  for (const piece of list) {
    const item = element("li");
    item.append(element("span", "badge dim", piece.id), element("span", "name text", piece.text));
    const where = [piece.source, piece.service, piece.host, piece.at && stamp(new Date(piece.at))].filter(Boolean);
    item.append(element("small", "dim", [...new Set(where)].join(" · ")));
    made.append(item);
  }
  return made;
}

function folded(title, ...content) {
  const made = element("details");
  made.append(element("summary", "", title), ...content);
  return made;
}

/** The pieces of evidence, the strongest at once and the others folded, and what could not be looked at. */
export function drawEvidence(pack) {
  if (pack === null) return [];
  const every = pack.read.length + pack.unread.length;
  const parts = [element("h3", "", word("evidence")), pieces(pack.pieces.slice(0, 3))];
  if (pack.pieces.length > 3) parts.push(folded(`${word("morePieces")} (${pack.pieces.length - 3})`, pieces(pack.pieces.slice(3, FIRST)), ...(pack.pieces.length > FIRST ? [folded(`${word("weakerPieces")} (${pack.pieces.length - FIRST})`, pieces(pack.pieces.slice(FIRST)))] : [])));
  parts.push(element("p", pack.unread.length ? "warn" : "dim", `${word("sourcesRead")} ${pack.read.length}/${every}${pack.unread.map((each) => ` · ${word("notRead")}${word("colon")}${each.source} (${each.reason})`).join("")}`));
  return parts;
}

function names({ alerts, truncated }) {
  const listed = Object.entries(alerts).map(([name, count]) => (count > 1 ? `${name} ×${count}` : name));
  return [...listed, ...(truncated ? [`+${truncated}`] : [])].join(", ");
}

function detail({ kind, detail: said, text }) {
  if (said === null) return text;
  if (said.alerts) return names(said);
  if (kind === "struck") return `${said.cause} – ${said.reason}`;
  if (kind === "checked") return `${said.check || word("printed")}${word("colon")}${said.output.slice(0, 200)}`;
  if (kind === "message") return `${word("messages")[said.message] ?? said.message}${word("colon")}${word("messageStates")[said.state] ?? said.state}${said.why ? ` (${said.why})` : ""}`;
  return "";
}

/** The time line and the alerts, folded. */
export function drawTimeline(incident) {
  const list = element("ol");
  list.id = "timeline";
  for (const entry of incident.timeline) {
    const item = element("li");
    item.append(element("small", "dim", `${stamp(new Date(entry.time))} `), word("entries")[entry.kind] ?? entry.kind);
    const more = [detail(entry), entry.by].filter(Boolean).join(" · ");
    if (more) item.append(" ", element("span", "dim", more));
    list.append(item);
  }
  const alerts = element("ul", "facts");
  for (const alert of incident.members) {
    const item = element("li");
    const link = element("a", "name", alert.name);
    link.href = `/runbooks/${encodeURIComponent(alert.name)}`;
    item.append(link, element("span", `badge ${alert.ended ? "dim" : "bad"}`, word(alert.ended ? "incidentEnded" : "firing")), element("small", "dim", `${alert.summary} · ${stamp(new Date(alert.began))}`));
    alerts.append(item);
  }
  return folded(`${word("timeLine")} (${incident.timeline.length}) · ${word("alertsTitle")} (${incident.members.length})`, list, alerts);
}
