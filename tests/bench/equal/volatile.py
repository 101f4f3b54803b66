"""What two runs of one program have in common: texts without times and ids."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from itertools import groupby, takewhile

PLACES, WIDTH = 4, 160
"""Places of a difference that are shown, and characters of each."""
_IDS = re.compile(r"\breq_[0-9a-f]{32}\b|\b[0-9a-f]{32}\b|\bchatcmpl-[\w-]+|(?<=retry: )\d+")
_TIMES = re.compile(
    r'("(?:seconds|created|time|elapsed|processing_ms|milliseconds|processing_time_ms|own_seconds)":\s*)'
    r"(?:'[^']*'|\"[^\"]*\"|[\d.e+-]+)"
)
_HEADERS = re.compile(r"(?m)^(date|x-request-id|x-ratelimit-[\w-]+|ratelimit[\w-]*|content-length): .*$")
_AT_ONCE = re.compile(r"(?:event)?: (?:answered|failed|graded|sat_in|asked_again|revised)\b")
"""An event, or the comment that stands for it in a stream of chat completions."""
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


def difference(old: str, new: str) -> str | None:
    """Nothing, or where they differ: a few of the places, each with what stands around it."""
    if old == new:
        return None
    before, after = (re.sub(r'([,{\[])(?=")', r"\1\n", text).splitlines() for text in (old, new))
    changed = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    places = [(before[a:b], after[c:d]) for tag, a, b, c, d in changed if tag != "equal"]
    shown = [_around("\n".join(one), "\n".join(two)) for one, two in places[:PLACES]]
    more = f"\n    and {len(places) - PLACES} more places" if len(places) > PLACES else ""
    return "\n    ".join(shown) + more


def _around(old: str, new: str) -> str:
    """The first characters that differ, with a few before them."""
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    start = max(0, alike - WIDTH // 3)
    return f"old {old[start : start + WIDTH]!r}\n    new {new[start : start + WIDTH]!r}"
