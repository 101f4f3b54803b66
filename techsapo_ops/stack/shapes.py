"""What a manifest has to look like before anything is done with it: whoever wrote it may have meant harm."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from techsapo_ops.adapters.tarball import ArchiveError, parts_of

Shape = Callable[[Any], bool]
MOST_FILES = 200_000
"""Files that a backup of the configuration may hold."""
_LARGEST = 2**63
_LATEST = 4_102_444_800
"""Unix seconds of 2100-01-01."""
_LONGEST_BLOCK_MS = 50 * 366 * 24 * 3600 * 1000
_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def text(value: Any) -> bool:
    """A string."""
    return isinstance(value, str)


def count(value: Any) -> bool:
    """An integer from 0 that 64 bits hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def number(value: Any) -> bool:
    """A finite number of a size that a float holds."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and abs(value) < _LARGEST
    )


def optional(shape: Shape) -> Shape:
    """That or null."""
    return lambda value: value is None or shape(value)


def each(shape: Shape, name: Shape = text) -> Shape:
    """An object whose names and values have these shapes."""
    return lambda value: isinstance(value, dict) and all(name(k) and shape(v) for k, v in value.items())


def has(*, also: Mapping[str, Shape] | None = None, **shapes: Shape) -> Shape:
    """An object with at least these members; those of `also` may be absent."""

    def fits(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and all(key in value and shape(value[key]) for key, shape in shapes.items())
            and all(shape(value[key]) for key, shape in (also or {}).items() if key in value)
        )

    return fits


def file_name(value: Any) -> bool:
    """The name of a file in the folder of a backup itself."""
    return isinstance(value, str) and _FILE.fullmatch(value) is not None


def sha256(value: Any) -> bool:
    """A SHA-256 in hexadecimal."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def member(value: Any) -> bool:
    """The name of a file in an archive: relative, and it leads nowhere else."""
    try:
        return text(value) and bool(parts_of(value))
    except ArchiveError:
        return False


def _digits(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value) is not None


def _sample(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 4
        and count(value[0])
        and isinstance(value[1], str)
        and re.fullmatch("([0-9a-f]{2})*", value[1]) is not None
        and text(value[2])
        and re.fullmatch(r"-1|\d{1,19}", str(value[3])) is not None
    )


def _samples(value: Any) -> bool:
    return isinstance(value, list) and all(map(_sample, value))


def _block(value: Any) -> bool:
    return (
        has(min_time=number, max_time=number, samples=count)(value)
        and value["max_time"] - value["min_time"] <= _LONGEST_BLOCK_MS
    )


def _binlog(value: Any) -> bool:
    return value == {} or has(file=text, position=count)(value)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _moment(value: Any) -> bool:
    return number(value) and 0 <= value <= _LATEST


def _listed(value: Any) -> bool:
    return isinstance(value, dict) and len(value) <= MOST_FILES and each(sha256, member)(value)


_ROWS = has(tables=each(has(rows=count)), schema=text)
FACTS: Mapping[str, Shape] = {
    "redis": has(databases=each(has(keys=count, expires=count), _digits), changes=number, sample=_samples),
    "mysql": has(
        database=text,
        exact=_flag,
        binlog=_binlog,
        views=count,
        triggers=count,
        routines=count,
        events=count,
        tables=each(has(rows=count, engine=optional(text), checksum=optional(text))),
    ),
    "sqlite": _ROWS,
    "grafana": _ROWS,
    "prometheus": has(blocks=each(_block, member), counted=has(time=_moment, series=number, scrapes=number)),
    "config": has(files=_listed, also={"left_out": each(text)}),
}
"""What the facts of each kind of part must have at least."""
