"""Secrets of Kubernetes: every value below `data` and `stringData` of a manifest of `kind: Secret`."""

from __future__ import annotations

import re
from collections.abc import Iterator

_SECRET = re.compile(r"^[ \t]{0,40}(?:- )?\"?kind\"?:[ \t]{0,8}[\"']?Secret[\"']?[ \t,]{0,8}$", re.MULTILINE)
_DOCUMENT = re.compile(r"^---[ \t]{0,8}$", re.MULTILINE)
_SECTION = re.compile(r"^([ \t]{0,40})\"?(?:data|stringData)\"?:[ \t{]{0,8}$")
_ENTRY = re.compile(r"^([ \t]{1,60})[\"']?[\w.-]{1,253}[\"']?:[ \t]{0,8}[\"']?([^\s\"']{1,65536})")


def manifest_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where in `text` the values of such manifests stand."""
    if "Secret" not in text or not _SECRET.search(text):
        return
    start = 0
    for mark in (*_DOCUMENT.finditer(text), None):
        end = len(text) if mark is None else mark.start()
        if _SECRET.search(text, start, end):
            yield from _values(text, start, end)
        start = end if mark is None else mark.end()


def _values(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    indent: int | None = None
    for line in text[start:end].splitlines(keepends=True):
        section = _SECTION.match(line.rstrip("\n"))
        entry = _ENTRY.match(line)
        if section:
            indent = len(section[1])
        elif indent is not None and entry and len(entry[1]) > indent:
            if entry[2] not in "|>{":
                yield start + entry.start(2), start + entry.end(2)
        elif line.strip() and len(line) - len(line.lstrip()) <= (indent or 0):
            indent = None
        start += len(line)
