"""What series did, in words that a person and a model read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from techsapo_ops.incidents.series import Movement

_OWNERS = frozenset({"job", "instance", "host", "service"})


def said(movements: Sequence[Movement], more: int) -> str:
    """One line for each; on the first, whose they are where that is the same."""
    shared = set.intersection(*(set(one.reading.labels.items()) for one in movements))
    shared = {(key, value) for key, value in shared if key in _OWNERS}
    lines = [_line(one, shared) for one in movements]
    head = ", ".join(f"{key}={value}" for key, value in sorted(shared))
    if more > 0:
        lines.append(f"and {more} more")
    return "\n".join([*([head] if head else []), *lines])


def _line(one: Movement, shared: set[tuple[str, str]]) -> str:
    reading = one.reading
    own = ", ".join(f'{k}="{v}"' for k, v in reading.labels.items() if (k, v) not in shared)
    name = reading.name + (f"{{{own}}}" if own else "")
    at = f" at {datetime.fromtimestamp(one.at, UTC):%H:%M:%S}" if one.at is not None else ""
    before, after = (_number(value, reading.name, reading.unit) for value in (one.before, one.after))
    unit = f" {reading.unit}" if reading.unit not in {"", "time"} else ""
    if one.how == "began":
        return f"{name} began{at}: {after}{unit}"
    if one.how == "ended":
        return f"{name} ended{at}, last {before}{unit}"
    if reading.unit == "time" and one.how == "steady":
        return f"{name} is {after}" + (f", last set{at}" if at else "")
    if reading.unit == "time":
        return f"{name} is {after}" + (f", set{at}, before {before}" if before else f", passed{at}")
    if one.how == "steady":
        return f"{name} steady: {after}{unit}"
    return f"{name} {one.how} from {before} to {after}{unit}{at}"


def _number(value: float | None, name: str, unit: str) -> str:
    if value is None:
        return ""
    if unit == "time":
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if "bytes" in name and abs(value) >= 10_000:
        for prefix, factor in (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
            if abs(value) >= factor:
                return f"{value / factor:.3g} {prefix}iB"
    return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.0f}"
