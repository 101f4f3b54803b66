"""Which language a question is in."""

from __future__ import annotations

import re
from typing import Literal

Language = Literal["ja", "en"]

_JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f]")


def language_of(text: str) -> Language:
    """`ja` where the text holds kana or kanji, or no letter of any language (`502?`); else `en`."""
    return "ja" if _JAPANESE.search(text) or not any(map(str.isalpha, text)) else "en"
