"""Headers that a user adds to the requests that the app sends."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from techsapo_ops.spec.secret import Secret

_HEADER = re.compile(r"[A-Za-z0-9_-]{1,100}")
_OWN_HEADERS = {"connection", "content-length", "content-type", "host", "transfer-encoding"}
_HEADER_VALUE = re.compile(r"[\x20-\x7e]+")


def _headers(given: dict[str, Secret]) -> dict[str, Secret]:
    names: dict[str, str] = {}
    for name, value in given.items():
        if (same := names.setdefault(name.lower(), name)) != name:
            raise ValueError(f"{same} and {name} are one header; keep one of them")
        if not _HEADER.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header; use letters, digits, '-' and '_'")
        if name.lower() in _OWN_HEADERS:
            raise ValueError(f"{name} is the call's own; leave it out")
        if not _HEADER_VALUE.fullmatch(value.reveal()):
            raise ValueError(f"the value of {name} must be on one line, in ASCII")
    return given


Headers = Annotated[dict[str, Secret], AfterValidator(_headers)]
