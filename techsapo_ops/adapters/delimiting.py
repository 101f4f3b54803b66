"""The one way in which text from outside stands in a prompt: as a block that it cannot end.

Logs, what a command printed, earlier messages, questions and answers that are graded: whatever they hold is
material. Within a block no `<` stands, in no spelling that a model may read as one, and no character that is
not seen; docs/decisions/0015-untrusted-text.md says why so.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

from techsapo_ops.adapters.jsons import dump

_UNSEEN = (
    "\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"
)
"""Characters, as in a set of a pattern, that are not seen or that turn the direction."""
_LESS = "\uff1c\ufe64\u226e"
_BRACKETS = "\uff3b\ufe47"
_ROLE = re.compile(
    r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT))\]", re.IGNORECASE
)
"""What some models' templates mark roles with, in a text that is normalised."""
_LONGEST_ROLE = len("[/AVAILABLE_TOOLS]")
_ESCAPED = re.compile(
    # One set of all that it may begin with: the regex engine is quick to find the next of a set.
    rf"[<{_LESS}{_UNSEEN}\x00-\x08\x0b\x0c\x0e-\x1f&\[{_BRACKETS}](?:(?<![&\[{_BRACKETS}])"
    # An entity: by any number, by name, and those names without `;` that lead to a `<`.
    r"|(?<=&)(?=\#|[A-Za-z][A-Za-z0-9]*;|[lL][tT]|[aA][mM][pP]|shy)"
    r"|(?<!&)(?=/?(?:[aistAIST]|[^\x00-\x7f])))"
)
_LONGER = bytes(range(32)) + b'<"\\\x7f'
"""Quotes and backslashes are sent with one byte more, a line's end too, all else of these with up to five."""
_LONGER_BY = 5
_RARE = re.compile(f"[\x80{_UNSEEN[1:]}{_LESS}{_BRACKETS}]")
"""Characters beyond ASCII that are sent as six bytes or, the last ones of all, as twelve."""
_RARE_BY = 8


def delimited(name: str, text: str) -> str:
    """`text` as the block `name`, line by line as it is."""
    return f"<{name}>\n{_ESCAPED.sub(_escape, text)}\n</{name}>"


def escaped(data: Any) -> str:
    """`data` as JSON that may stand in a block."""
    return _ESCAPED.sub(_escape, dump(data).decode())


def _escape(match: re.Match[str]) -> str:
    if match[0] == "[" or match[0] in _BRACKETS:
        start = match.start()
        read = unicodedata.normalize("NFKC", match.string[start : start + _LONGEST_ROLE])
        if _ROLE.match(read) is None:
            return match[0]
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"  # as in JSON


@lru_cache(maxsize=32)  # the calls of a round ask for the same ones; more would hold megabytes of questions
def size(*texts: str) -> int:
    """Bytes of `texts` as they are sent: in UTF-8, within JSON, delimited."""
    return size_once("".join(texts))


def size_once(text: str) -> int:
    """As `size`, of a text that nobody asks for again."""
    raw = text.encode(errors="surrogatepass")
    escaped = len(raw) - len(raw.translate(None, _LONGER))
    if escaped:
        twice = raw.count(b'"') + raw.count(b"\\")
        escaped = _LONGER_BY * (escaped - twice) + twice
    if not text.isascii():
        escaped += _RARE_BY * len(_RARE.findall(text))
    return len(raw) + escaped + _LONGER_BY * (text.count("&") + text.count("["))
