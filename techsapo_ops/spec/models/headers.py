"""Headers that a user adds to the requests that the app sends."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from techsapo_ops.messages import msg
from techsapo_ops.spec.secret import Secret

_HEADER = re.compile(r"[A-Za-z0-9_-]{1,100}")
_OWN_HEADERS = {"connection", "content-length", "content-type", "host", "transfer-encoding"}
_HEADER_VALUE = re.compile(r"[\x20-\x7e]+")


def _headers(given: dict[str, Secret]) -> dict[str, Secret]:
    names: dict[str, str] = {}
    for name, value in given.items():
        if (same := names.setdefault(name.lower(), name)) != name:
            raise ValueError(msg("{same} and {name} are one header; keep one of them", same=same, name=name))
        if not _HEADER.fullmatch(name):
            raise ValueError(
                msg("{name} is no name of a header; use letters, digits, '-' and '_'", name=repr(name))
            )
        if name.lower() in _OWN_HEADERS:
            raise ValueError(msg("{name} is the call's own; leave it out", name=name))
        if not _HEADER_VALUE.fullmatch(value.reveal()):
            raise ValueError(msg("the value of {name} must be on one line, in ASCII", name=name))
    return given


Headers = Annotated[dict[str, Secret], AfterValidator(_headers)]
