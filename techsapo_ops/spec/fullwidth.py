"""Characters of a Japanese keyboard that look like YAML's own and are none: `：` and the space U+3000."""

from __future__ import annotations

import re
import unicodedata

from techsapo_ops.messages import msg

SPACE = "\u3000"
"""What YAML takes for text, and most editors show as a gap."""
_COLON = "："
_KEY = re.compile(
    rf"(?P<before>[ \t{SPACE}]*(?:-[ {SPACE}]+)?[\w{{\['\"-]+[ {SPACE}]*)(?P<colon>[:{_COLON}])(?P<after>.?)",
    re.ASCII,  # keys of the spec are: 連絡先：… is a line of somebody's text
)


def slip(text: str) -> tuple[int, str, str] | None:
    """Where the first line of `text` has such a character in the place of YAML's own.

    The column, from 1, what is wrong, and what to try. None where it has none: in a value or a comment they
    are text like any other.
    """
    found = _KEY.match(text.split("\n", 1)[0])
    if found is None:
        return None
    if SPACE in found["before"]:
        column = text.index(SPACE) + 1
        return (
            column,
            msg("a full-width space (U+3000) stands here"),
            msg("write half-width spaces in its place"),
        )
    if found["colon"] == _COLON:
        return (
            found.start("colon") + 1,
            msg("`：` is a full-width colon (U+FF1A)"),
            msg("write `: `, half-width"),
        )
    if found["after"] == SPACE:
        column = found.start("after") + 1
        return (
            column,
            msg("a full-width space (U+3000) follows the `:`"),
            msg("write a half-width one in its place"),
        )
    return None


def half_width(text: str) -> str:
    """`text` in half-width characters; empty where it is that already."""
    folded = unicodedata.normalize("NFKC", text)
    return folded if folded != text else ""
