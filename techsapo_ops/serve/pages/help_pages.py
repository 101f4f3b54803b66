"""The documentation under /help, and the runbooks, where an alert's message leads.

/help is the site that `make docs` built, or pages that are made when asked for: docs/*.md in a checkout, and
everywhere the reference, which is made from the code. All have the same addresses: /help/LANGUAGE/NAME.html.
What can be asked for is a list of names that was made beforehand, so that no path of a request ever reaches
the file system.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

import techsapo_ops
from techsapo_ops.adapters.build import PACKAGED_PAGES
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.pages import LOCALES, runbooks
from techsapo_ops.messages import msg
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.pages.pages import asked_language, page_language, page_of, page_reply, tag_of

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token


_PATH = "/help"
_TYPES = {
    "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json", "svg": "image/svg+xml",
    "png": "image/png", "xml": "text/xml; charset=utf-8",
}  # fmt: skip
_HASHED = re.compile(r"\.[0-9a-f]{8}\.min\.(?:css|js)$")
_FOR_EVER = "public, max-age=31536000, immutable"
"""For files whose name has a digest of what they hold."""
_COMMENT = re.compile(r"^<!--.*?-->$", re.MULTILINE | re.DOTALL)
_MISSING = msg("there is no such page; /help lists all")

Reference = Mapping[str, Callable[[], str]]
"""What makes the Markdown of pages, by path below docs/; that of an index goes to its end."""
File = tuple[bytes, str, str]
"""Content, type and ETag."""


class Site:
    """The built site, an archive in the package."""

    def __init__(self, path: Path) -> None:
        """Raises OSError or zipfile.BadZipFile where it can't be read."""
        self._archive = zipfile.ZipFile(path)
        self._entries = {entry.filename: entry for entry in self._archive.infolist()}

    def file(self, name: str) -> File | None:
        """What is to be had as /help/NAME; None where there is no such thing."""
        entry = self._entries.get(name)
        media_type = _TYPES.get(name.rpartition(".")[2])
        if entry is None or media_type is None:
            return None
        return self._archive.read(entry), media_type, f'"{entry.CRC:08x}{entry.file_size:x}"'


class Made:
    """Pages that are made into HTML when they are asked for, and kept while they are read: nobody needs a
    key to ask, and making a long one takes a tenth of a second.
    """

    def __init__(self, folder: Path | None, reference: Reference) -> None:
        """Of the Markdown in `folder`, and of what `reference` makes."""
        self._sources: dict[str, Path] = {}
        for path in sorted(folder.glob("**/*.md")) if folder is not None else ():
            self._sources[_address(path.relative_to(folder or path).as_posix())] = path
        self._reference = {_address(name): make for name, make in reference.items()}
        self._made = lru_cache(maxsize=32)(self._page)
        self._images = {f"images/{p.name}": p for p in folder.glob("images/*")} if folder is not None else {}

    @property
    def names(self) -> frozenset[str]:
        """The addresses of its pages, below /help/."""
        return frozenset({*self._sources, *self._reference})

    def file(self, name: str) -> File | None:
        """Likewise."""
        if (image := self._images.get(name)) is not None:
            content = _read(image)
            return (
                None
                if content is None
                else (content, _TYPES.get(image.suffix[1:], "image/png"), tag_of(content))
            )
        if name not in self.names:
            return None
        source = self._sources.get(name)
        written = _read(source) if source is not None else b""
        return None if written is None else self._made(name, written.decode(errors="replace"))

    def _page(self, name: str, text: str) -> File:
        from markupsafe import Markup  # comes with the templates, which only readers of pages load

        language = name.partition("/")[0]
        if (make := self._reference.get(name)) is not None:
            text = f"{text}\n{make()}"
        html = Markup(html_of_page(text, lambda target: self._linked(name, target)))  # noqa: S704 - from our own pages
        return page_of("help", language, text=html, here=_PATH)

    def _linked(self, page: str, target: str) -> str:
        """Where a link of `page` leads here."""
        path, mark, part = target.partition("#")
        if "://" in target or not path:
            return target
        folder, language = posixpath.dirname(page.partition("/")[2]), page.partition("/")[0]
        there = posixpath.normpath(posixpath.join(folder, path))
        if there.startswith("../techsapo_ops/catalogue/runbooks"):
            name = Path(there).stem
            return "/runbooks" if name == "runbooks" else f"/runbooks/{name}?lang={language}"
        name = _address(there)
        return f"{_PATH}/{name if name in self.names else there}{mark}{part}"


def _address(page: str) -> str:
    """Where the page at the path `page` below docs/ is, below /help/."""
    stem = page.removesuffix(".ja.md").removesuffix(".md").replace("/README", "/index")
    return f"{'ja' if page.endswith('.ja.md') else 'en'}/{stem}.html"


def pages_of(package: Path, reference: Reference) -> Site | Made:
    """The pages of the package in the folder `package`; without a built site they are made."""
    try:
        return Site(package / PACKAGED_PAGES)
    except (OSError, zipfile.BadZipFile):
        docs = package.parent / "docs"
        # A folder of that name next to an installed package is somebody else's.
        in_checkout = (package.parent / "pyproject.toml").is_file() and docs.is_dir()
        return Made(docs if in_checkout else None, reference)


def help_routes(locale: str, reference: Reference, package: Path | None = None) -> APIRouter:
    """Routes of the documentation, open as every page is; `locale` is for those who ask for none."""
    router = APIRouter(include_in_schema=False)
    folder = package or Path(techsapo_ops.__file__).parent

    @cache
    def pages() -> Site | Made:
        return pages_of(folder, reference)

    # Not async: an archive is read and unpacked, or a page made, which other requests need not wait for.
    def begin(request: Request) -> Response:
        language = page_language(request, locale)
        return RedirectResponse(f"{_PATH}/{language}/index.html", 307)

    def page(request: Request, name: str) -> Response:
        if name.rstrip("/") in LOCALES:
            return RedirectResponse(f"{_PATH}/{name.rstrip('/')}/index.html", 307)
        file = pages().file(name)
        if file is None:
            raise Problem(404, "not_found", _MISSING)
        reply = page_reply(request, *file)
        if _HASHED.search(name):
            reply.headers["Cache-Control"] = _FOR_EVER
        return reply

    for path, answer in ((_PATH, begin), (f"{_PATH}/", begin), (f"{_PATH}/{{name:path}}", page)):
        router.add_api_route(path, answer, methods=["GET", "HEAD"])
    return router


def _read(path: Path) -> bytes | None:
    """The content of a plain file; a link, which may lead out of the folder, is none."""
    try:
        with open(
            path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
        ) as file:
            return file.read() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
    except OSError:
        return None


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt  # for readers of these pages alone

    return MarkdownIt("commonmark", {"html": False}).enable("table")


def html_of_page(text: str, linked: Callable[[str], str], *, anchors: bool = True) -> str:
    """Our own Markdown as HTML: no HTML of its own comes through. Links lead as `linked` says; headings have
    names where `anchors`.
    """
    parser = _markdown()
    tokens = parser.parse(_COMMENT.sub("", text))
    for before, token in pairwise(tokens):
        if anchors and before.type == "heading_open":
            before.attrs["id"] = _anchor(token.content)
    for token in _all(tokens):
        if style := str(token.attrs.pop("style", "")):  # of a column: the pages allow no style of an element
            token.attrs["align"] = style.removeprefix("text-align:")
        for key in {"href", "src"} & token.attrs.keys():
            token.attrs[key] = linked(str(token.attrs[key]))
    return str(parser.renderer.render(tokens, parser.options, {}))


def _all(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _all(token.children or ())


def _anchor(heading: str) -> str:
    """The name of a heading in links, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


_RUNBOOKS = "/runbooks"
_RUNBOOK_LINK = re.compile(r"(\w+)\.md")
_RUNBOOK_LIST = {
    "ja": ("手順書", "アラートごとの意味、確認、対処です。"),
    "en": ("Runbooks", "What each alert means, how to check and how to fix it."),
}
_NO_RUNBOOK = {"ja": "その手順書はありません", "en": "There is no such runbook"}


def runbook_routes(locale: str, *, hosts: int = 0) -> APIRouter:
    """Routes of the runbooks. They are open as the frame of every page is: what they say is in the package.

    `locale` is the language of readers who ask for none. They have no ports
    and logins of the stack, but say what is true of its one host, or of so many `hosts`.
    """
    router = APIRouter(include_in_schema=False)

    async def listed(request: Request) -> Response:
        return page_reply(request, *_runbook_list(*_language(request, locale)))

    async def page(request: Request, name: str) -> Response:
        language, query = _language(request, locale)
        if name in runbooks():
            return page_reply(request, *_runbook(name, language, query, hosts))
        content, media_type, _ = _runbook_list(language, query, missing=True)
        return Response(content, 404, media_type=media_type)

    for path, answer in ((_RUNBOOKS, listed), (f"{_RUNBOOKS}/{{name}}", page)):
        router.add_api_route(path, answer, methods=["GET", "HEAD"])
    return router


def _language(request: Request, locale: str) -> tuple[str, str]:
    """The page's language, and the query by which its links keep it where it was asked for."""
    asked = asked_language(request)
    return page_language(request, locale), "" if asked is None else f"?lang={asked}"


@cache
def _runbook(name: str, locale: str, query: str, hosts: int) -> tuple[bytes, str, str]:
    texts = runbooks()[name].of_stack({}, hosts=hosts).text
    return _framed(locale, query, ((each, _runbook_html(texts[each], query)) for each in LOCALES), name)


@cache
def _runbook_list(locale: str, query: str, *, missing: bool = False) -> tuple[bytes, str, str]:
    """The list of all, which answers a name that is `missing` as well; the name itself is not shown."""

    def lines(language: str) -> str:
        title, about = _RUNBOOK_LIST[language]
        title = _NO_RUNBOOK[language] if missing else title
        rows = (
            f"- [{name}]({name}.md) ({alert.severity}): {runbooks()[name].meaning(language)}"
            for name, alert in alerts().items()
        )
        return "\n".join((f"# {title}", "", about, "", *rows))

    texts = ((each, _runbook_html(lines(each), query)) for each in LOCALES)
    return _framed(locale, query, texts, "404" if missing else "")


def _framed(
    locale: str, query: str, texts: Iterable[tuple[str, str]], alert: str = ""
) -> tuple[bytes, str, str]:
    from markupsafe import Markup  # comes with the templates, which only readers of pages load

    marked = [(language, Markup(text)) for language, text in texts]  # noqa: S704 - made from our own pages
    incidents = f"/incidents{query or '?'}{query and '&'}alert={alert}" if alert in runbooks() else ""
    return page_of("runbook", locale, texts=marked, query=query, alert=alert, incidents=incidents)


def _runbook_html(text: str, query: str) -> str:
    """As HTML; links between runbooks lead to their pages."""

    def linked(target: str) -> str:
        page = _RUNBOOK_LINK.fullmatch(target)
        return target if page is None else f"{_RUNBOOKS}/{page[1]}{query}"

    # Without anchors: both languages are on the page, so a name is there twice.
    return html_of_page(text, linked, anchors=False)
