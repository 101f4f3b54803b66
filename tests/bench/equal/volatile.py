"""What two runs of one program have in common: texts without times and ids."""

from __future__ import annotations

import difflib
import re
from itertools import groupby

_IDS = re.compile(r"\breq_[0-9a-f]{32}\b|\b[0-9a-f]{32}\b|\bchatcmpl-[\w-]+|(?<=retry: )\d+")
_TIMES = re.compile(
    r'("(?:seconds|created|time|elapsed|processing_ms|milliseconds|processing_time_ms|own_seconds)":\s*)'
    r"(?:'[^']*'|\"[^\"]*\"|[\d.e+-]+)"
)
_HEADERS = re.compile(r"(?m)^(date|x-request-id|x-ratelimit-[\w-]+|ratelimit[\w-]*|content-length): .*$")
_AT_ONCE = re.compile("event: (?:answered|failed|graded|sat_in|asked_again|revised)\n")
_OURS = re.compile(r"techsapo_")
_TIMED = re.compile(
    r"seconds|bytes|timestamp|build_info|memory|active_connections|response_time|deadline_used|cpu"
)


def steady(text: str) -> str:
    """`text` of an answer or a row without times and ids."""
    return _HEADERS.sub(r"\1", _TIMES.sub(r"\g<1>0", _IDS.sub("ID", text)))


def in_order(stream: str) -> str:
    """A stream of events, in which what happens at once stands in the order of its words."""
    ordered: list[str] = []
    for at_once, events in groupby(stream.split("\n\n"), lambda each: _AT_ONCE.match(each) is not None):
        told = list(events)
        ordered += sorted(told) if at_once else told
    return "\n\n".join(ordered)


def metrics(text: str) -> str:
    """The series of ours and their values; of those that measure time or memory their counts."""
    kept = []
    for line in text.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if not _OURS.match(line) or (_TIMED.search(name) and not name.endswith("_count")):
            continue
        kept.append(line.partition(" # ")[0])
    return "\n".join(sorted(kept))


def differences(what: str, old: str, new: str) -> list[str]:
    """Nothing, or one text that shows where they differ."""
    if old == new:
        return []
    before, after = (re.sub(r'([,{\[])(?=")', r"\1\n", text).splitlines() for text in (old, new))
    shown = [line[:300] for line in difflib.unified_diff(before, after, "old", "new", lineterm="", n=0)]
    return [f"{what}\n    " + "\n    ".join(shown[2:14])]
