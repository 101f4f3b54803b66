"""What a terminal takes for orders, or shows in another place or order than it stands. Pure."""

from __future__ import annotations

import re

from techsapo_ops.messages import Message

REPLACED = "\N{REPLACEMENT CHARACTER}"
_ODD = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1: escapes, backspace, carriage return
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # turn the direction of what follows
    "\u200b\u2060-\u2065\ufeff\u180e\ufff9-\ufffb\U000e0000-\U000e007f"  # not seen, and copied along
    "\u2028\u2029"  # end a line for some
    "\ud800-\udfff"  # no character: a file's name that is not UTF-8
    "]"
)


def harmless(text: str) -> str:
    """`text` from elsewhere as a terminal may show it: on its lines, with tabs, and nothing that acts.

    A message stays one, and is harmless in each language.
    """
    if isinstance(text, Message):
        return text.changed(harmless)
    return _ODD.sub(REPLACED, text.replace("\r\n", "\n"))


def harmless_json(document: str) -> str:
    """A JSON `document` with the same characters escaped: its values stay what they are."""
    return _ODD.sub(_escaped, document)


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[n : n + 2]):04x}" for n in range(0, len(units), 2))
