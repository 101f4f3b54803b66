// The Status page's services, disks and certificates.

import { element, moment, number, word } from "/web/words.js";
import { shown as figure } from "/web/units.js";

const SOON = 25;
const OVER = 10;

function line(name, style, says, detail) {
  const item = element("li");
  item.append(element("span", "name", name), element("span", `badge ${style}`, says));
  if (detail) item.append(element("small", "dim", detail));
  return item;
}

function put(id, values, unknown, empty, items) {
  const host = document.getElementById(id);
  if (values === null || values === undefined) host.replaceChildren(unknown());
  else if (values.length === 0) host.replaceChildren(element("p", "dim", word(empty)));
  else {
    const list = element("ul", "facts");
    list.append(...items());
    host.replaceChildren(list);
  }
}

/** Every service, and what each instance of the app can't use: others may be well where one is cut off. */
export function drawServices(services, unknown) {
  put("services", services, unknown, "noData", () => services.map(({ name, up, version, lacks }) => {
    const cut = lacks.map((each) => `${word("cutOffFrom")} ${each === "audit" ? word("auditName") : each}`);
    const state = up === null ? ["dim", "unknown"] : !up ? ["bad", "down"] : cut.length ? ["warn", "degraded"] : ["good", "healthy"];
    return line(name, state[0], word(state[1]), [version, ...cut].filter(Boolean).join(" · "));
  }));
}

export function drawDisks(disks, unknown) {
  put("disks", disks, unknown, "noDisks", () => disks.map((disk) => {
    const style = disk.used_percent > disk.full_percent ? "bad" : disk.used_percent > disk.full_percent - 10 ? "warn" : "good";
    return line(disk.mountpoint, style, `${number(disk.used_percent, 0)} %`, `${disk.instance} · ${word("free")} ${figure(disk.free_bytes, "bytes")}`);
  }));
}

export function drawCertificates(certificates, unknown) {
  put("certificates", certificates, unknown, "noCertificates", () => certificates.map((each) => {
    const left = each.left_percent;
    let style = left === null || left > SOON ? "good" : left > OVER ? "warn" : "bad";
    if (each.served === false || each.failures > 0) style = style === "bad" ? "bad" : "warn";
    const ends = moment(new Date(each.ends * 1000), { year: "numeric", month: "short", day: "numeric" });
    const trouble = [each.served === false && word("notServed"), each.failures > 0 && `${word("renewalFailed")} ${each.failures}`].filter(Boolean);
    return line(each.name, style, each.ends * 1000 < Date.now() ? word("ended") : `${word("endsAt")} ${ends}`, [each.source, ...trouble].join(" · "));
  }));
}
