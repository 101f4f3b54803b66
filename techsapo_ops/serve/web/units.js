// Figures as a reader expects them, by Grafana's unit ids.

import { moment, number, word } from "/web/words.js";

const SCALES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

function scaled(value, unit, base = "") {
  const scale = SCALES.find(([size]) => Math.abs(value) >= size);
  if (!scale) return `${plain(value)}${base || unit ? ` ${base}${unit}` : ""}`;
  return `${plain(value / scale[0])} ${scale[1]}${unit}`;
}

function plain(value) {
  const size = Math.abs(value);
  if (size < 0.00005 || Number.isInteger(value)) return number(value, 0);
  return number(value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.01 ? 2 : 4);
}

function percent(value) {
  const rounded = Math.round(value * 10) / 10;
  return number(rounded, Number.isInteger(rounded) ? 0 : 1);
}

function seconds(value) {
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 1) return `${plain(value * 1000)} ms`;
  if (size < 120) return `${plain(value)} s`;
  if (size < 7200) return `${plain(value / 60)} min`;
  if (size < 172_800) return `${plain(value / 3600)} h`;
  return `${plain(value / 86_400)} d`;
}

export function shown(value, unit) {
  if (value === null || value === undefined) return word("noData");
  switch (unit) {
    case "percent": return `${percent(value)} %`;
    case "percentunit": return `${percent(value * 100)} %`;
    case "s": return seconds(value);
    case "reqps": case "ops": case "cps": return `${scaled(value, "")}/s`;
    case "reqpm": case "cpm": return `${scaled(value, "")}/min`;
    case "Bps": return scaled(value, "B/s");
    case "bytes": case "decbytes": return scaled(value, "B");
    case "currencyUSD": return `$${number(value, value === 0 || Math.abs(value) >= 0.01 ? 2 : 6)}`;
    default: return scaled(value, "");
  }
}

/** A figure of an axis: no more digits than it needs, and not rounded away from its line. */
export function tick(value, unit) {
  const exact = (figure) => Number(figure.toPrecision(3));
  switch (unit) {
    case "currencyUSD": return `$${Number.isInteger(exact(value)) ? number(exact(value), 0) : exact(value)}`;
    case "percent": return `${exact(value)} %`;
    case "percentunit": return `${exact(value * 100)} %`;
    default: return shown(value, unit);
  }
}

export function clock(seconds, span) {
  const time = { hour: "2-digit", minute: "2-digit" };
  if (span > 172_800) return moment(new Date(seconds * 1000), { month: "numeric", day: "numeric" });
  return moment(new Date(seconds * 1000), span < 300 ? { ...time, second: "2-digit" } : time);
}

export function exactly(seconds) {
  return moment(new Date(seconds * 1000), { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
