"""The one way in which text from outside stands in a prompt: as a block that it cannot end.

Logs, what a command printed, earlier messages, questions and answers that are graded: whatever they hold is
material. Within a block no `<` stands, in no spelling that a model may read as one, and no character that is
not seen; docs/decisions/0044-delimiting.md says why so.
"""

from __future__ import annotations

import re
from typing import Any

from techsapo_ops.adapters.jsons import dump

UNSEEN = (
    "\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"
)
"""Characters, as in a set of a pattern, that are not seen or that turn the direction."""
WIDE = "\uff1c\ufe64"
"""What becomes a `<` where a text is normalised."""
_ESCAPED = re.compile(
    f"[<{WIDE}{UNSEEN}\x00-\x08\x0b\x0c\x0e-\x1f]"
    r"|&(?=[lL][tT]\b|\#0*60\b|\#[xX]0*3[cC]\b)"  # a tag written as an entity
    r"|\[(?=/?[iI][nN][sS][tT]\])"  # what some models' templates mark roles with
)


def delimited(name: str, data: Any) -> str:
    """`data` as the block `name`: text line by line as it is, anything else as JSON."""
    text = data if isinstance(data, str) else dump(data).decode()
    return f"<{name}>\n{_ESCAPED.sub(_escape, text)}\n</{name}>"


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"  # as in JSON
