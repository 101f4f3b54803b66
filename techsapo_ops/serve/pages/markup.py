"""Answers as HTML for the pages: the Markdown that models write, and nothing in it that acts or fetches.

Two fences, neither of which trusts the other: the parser lets no HTML of the text through and makes links of
http and https alone, and what it made is cleaned by a list of what may be there. The pages' content security
policy is the third.
"""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

LONGEST = 20_000
"""Characters that are read as Markdown: its parser takes time with the square of what is made for that."""
_AT_ONCE = 2000
"""Characters for which no thread is worth its while."""
_ADDRESS = re.compile(r"https?://[^/\s]", re.IGNORECASE)
_UNSEEN = dict.fromkeys(
    (
        *(*range(0x202A, 0x202F), *range(0x2066, 0x2070), 0x200E, 0x200F, 0x061C),
        *(0x200B, *range(0x2060, 0x2066), 0xFEFF, 0x180E, *range(0xE0000, 0xE0080)),
    )
)
"""Signs that turn the direction of writing, or are not seen: what is read would not be what is copied."""
_MOST_CELLS = 5000
"""Of the tables of one text: a row of one cell gets the others too, so that a text of 20 kB would be 2 MB."""
_MOST_BRACKETS = 2000
"""Each `[` that nothing closes is a tenth of a millisecond in which nobody else is answered."""
_DELIMITERS = re.compile(r"[>\s]*[-:|][-:|\s]*")
_TAGS = {
    *("p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a"),
    *("h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES: dict[str, set[str]] = {"*": set(), "a": {"href"}, "ol": {"start"}}
_DEEPEST = 100
"""How far blocks are nested. The parser leaves out what is deeper, so such a text is not read as Markdown."""


def html_of(text: str, top: int = 3) -> str:
    """`text`, Markdown as models write it, as HTML; its greatest headings are of the level `top`, 3 to 6.

    No image is loaded, and after a link that does not say so stands the host where it leads. A text that is
    too long, too deep, or has too many cells or brackets, to be read as Markdown is one paragraph.
    """
    return _cleaned(_paragraph(text)) if len(text) > LONGEST else _written(text, top)


@lru_cache(
    maxsize=32
)  # the same answer is shown as soon as it is there, with the verdict, and by its address
def _written(text: str, top: int) -> str:
    parser = _markdown()
    read = text.count("[") <= _MOST_BRACKETS and _cells(text) <= _MOST_CELLS
    tokens = parser.parse(text) if read else []
    if not tokens or max(token.level for token in tokens) >= _DEEPEST - 1:
        return _cleaned(_paragraph(text))
    for token in tokens:
        if token.tag.startswith("h") and token.tag[1:].isdigit():
            token.tag = f"h{min(6, int(token.tag[1:]) + top - 1)}"
        if token.children:
            token.children = _with_hosts(token.children)
    return _cleaned(str(parser.renderer.render(tokens, parser.options, {})))


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _cleaned(made: str) -> str:
    import nh3  # for readers of pages alone

    cleaned = nh3.clean(
        made, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes={"http", "https"}, url_relative="deny",
        link_rel="noopener noreferrer nofollow", clean_content_tags=set(),
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )  # fmt: skip
    return cleaned.translate(_UNSEEN)  # last: until here they may be written as `&#8238;`


async def with_html(document: dict[str, Any]) -> dict[str, Any]:
    """A copy of an answer's document, or of an event with one, whose texts are there as HTML as well."""
    made = dict(document)
    if isinstance(made.get("answer"), str):
        made["answer_html"] = await _html(made["answer"], 3 if "providers" in made else 4)
    if (
        isinstance(made.get("providers"), list)
        and made["providers"]
        and isinstance(made["providers"][0], dict)
    ):
        made["providers"] = [await with_html(provider) for provider in made["providers"]]
    return made


async def _html(text: str, top: int) -> str:
    if len(text) <= _AT_ONCE:
        return html_of(text, top)
    return await asyncio.to_thread(html_of, text, top)


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt  # for readers of pages alone

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": _DEEPEST})
    parser.enable(["table", "strikethrough"]).disable("image")
    parser.validateLink = lambda url: _ADDRESS.match(url) is not None  # type: ignore[method-assign]
    return parser


def _with_hosts(children: Sequence[Token]) -> list[Token]:
    """The tokens of a line, with the host after each link whose text does not name it."""
    from markdown_it.token import Token

    made: list[Token] = []
    host, words = "", ""
    for token in children:
        if token.type == "link_open":
            host, words = _host(str(token.attrs.get("href", ""))), ""
        made.append(token)
        words += token.content
        if token.type == "link_close" and not _names(words, host):
            made.append(Token("text", "", 0, content=f" ({host})"))
    return made


def _names(words: str, host: str) -> bool:
    """Whether the words of a link are an address at `host`; it is not enough that it stands in them."""
    return re.match(rf"(?:https?://)?{re.escape(host)}(?![\w.@-])", words.lower()) is not None


def _cells(text: str) -> int:
    """How many cells the tables of `text` have at most: each goes on to the next empty line."""
    cells = columns = 0
    for line in text.splitlines():
        if _DELIMITERS.fullmatch(line):
            columns = max(columns, line.count("|") and line.count("|") + 1)
        elif not line.strip():
            columns = 0
        cells += columns
    return cells


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url
