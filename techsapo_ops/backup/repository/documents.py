"""JSON that anybody may have written, read as one of our forms, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.shapes import Shape, count

_MOST_VALUES = 1_000_000
"""Each costs some 100 bytes of memory, however few it has in the file."""


@contextmanager
def reading(where: str, hint: str) -> Iterator[None]:
    """Raise OpsError, that `where` is damaged, where the block finds another form; `hint`: what to try."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise OpsError(msg("{where} is damaged", where=where), hint) from None


def members(data: bytes, where: str, *, form: int, shape: Shape, longest: int) -> dict[str, Any]:
    """The members of a document of at most `longest` bytes, but for its `version`.

    Raises OpsError for a newer form than `form`; for any other fault what `reading` takes.
    """
    if len(data) > longest or data.count(b",") > _MOST_VALUES:
        raise ValueError(where)
    found: dict[str, Any] = json.loads(data, parse_constant=_refuse)
    if b"\\u" in data:  # ours are plain UTF-8; half of a surrogate pair could not even be told of
        json.dumps(found, ensure_ascii=False).encode()
    version = found.pop("version")
    if not count(version):
        raise ValueError(version)
    if version > form:
        raise OpsError(
            msg(
                "{where} was written by a newer techsapo (form {version}, this one knows {version2})",
                where=where,
                version=version,
                version2=form,
            ),
            msg("use that version, or a newer one"),
        )
    if not shape(found):
        raise ValueError(where)
    return found


def _refuse(word: str) -> float:
    raise ValueError(word)
