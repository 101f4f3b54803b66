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
    for part, sign in (("before", SPACE), ("colon", _COLON), ("after", SPACE)):
        if sign in found[part]:
            what = msg("colon (U+FF1A)") if sign == _COLON else msg("space (U+3000)")
            return (
                found.start(part) + found[part].index(sign) + 1,
                msg("a full-width {what} stands in the place of YAML's own", what=what),
                msg("write it half-width"),
            )
    return None


def half_width(text: str) -> str:
    """`text` in half-width characters; empty where it is that already."""
    folded = unicodedata.normalize("NFKC", text)
    return folded if folded != text else ""
