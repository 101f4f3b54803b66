"""What data from outside has to look like before anything is done with it: whoever wrote it may mean harm."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from techsapo_ops.adapters.tarball import ArchiveError, parts_of

Shape = Callable[[Any], bool]
_LARGEST = 2**63
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


def listed(shape: Shape) -> Shape:
    """An array whose members have that shape."""
    return lambda value: isinstance(value, list) and all(map(shape, value))


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


def flag(value: Any) -> bool:
    """A truth value."""
    return isinstance(value, bool)


def digits(value: Any) -> bool:
    """A string of up to nine digits."""
    return isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value) is not None
