"""The runbooks as pages: /runbooks/NAME, where an alert's message leads, and the list of all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from fastapi import APIRouter, Request
from starlette.responses import Response

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.pages import LOCALES, runbooks
from techsapo_ops.serve.pages.help_pages import html_of_page
from techsapo_ops.serve.pages.pages import asked_language, page_of, page_reply

_PATH = "/runbooks"
_PAGE = re.compile(r"(\w+)\.md")
_LIST = {
    "ja": ("手順書", "アラートごとの意味、確認、対処です。"),
    "en": ("Runbooks", "What each alert means, how to check and how to fix it."),
}
_MISSING = {"ja": "その手順書はありません", "en": "There is no such runbook"}


def runbook_routes(locale: str, *, hosts: int = 0) -> APIRouter:
    """Routes of the runbooks. They are open as the frame of every page is: what they say is in the package.

    `locale` is the language until the reader chooses another, on a page or by `?lang=`. They have no ports
    and logins of the stack, but say what is true of its one host, or of so many `hosts`.
    """
    router = APIRouter(include_in_schema=False)

    async def listed(request: Request) -> Response:
        return page_reply(request, *_list(*_language(request, locale)))

    async def page(request: Request, name: str) -> Response:
        language, query = _language(request, locale)
        if name in runbooks():
            return page_reply(request, *_page(name, language, query, hosts))
        content, media_type, _ = _list(language, query, missing=True)
        return Response(content, 404, media_type=media_type)

    for path, answer in ((_PATH, listed), (f"{_PATH}/{{name}}", page)):
        router.add_api_route(path, answer, methods=["GET", "HEAD"])
    return router


def _language(request: Request, locale: str) -> tuple[str, str]:
    """The page's language, and the query by which its links keep it where it was asked for."""
    asked = asked_language(request)
    return (locale, "") if asked is None else (asked, f"?lang={asked}")


@cache
def _page(name: str, locale: str, query: str, hosts: int) -> tuple[bytes, str, str]:
    texts = runbooks()[name].of_stack({}, hosts=hosts).text
    return _framed(locale, query, ((each, _html(texts[each], query)) for each in LOCALES), name)


@cache
def _list(locale: str, query: str, *, missing: bool = False) -> tuple[bytes, str, str]:
    """The list of all, which answers a name that is `missing` as well; the name itself is not shown."""

    def lines(language: str) -> str:
        title, about = _LIST[language]
        title = _MISSING[language] if missing else title
        rows = (
            f"- [{name}]({name}.md) ({alert.severity}): {runbooks()[name].meaning(language)}"
            for name, alert in alerts().items()
        )
        return "\n".join((f"# {title}", "", about, "", *rows))

    return _framed(
        locale, query, ((each, _html(lines(each), query)) for each in LOCALES), "404" if missing else ""
    )


def _framed(
    locale: str, query: str, texts: Iterable[tuple[str, str]], alert: str = ""
) -> tuple[bytes, str, str]:
    from markupsafe import Markup  # comes with the templates, which only readers of pages load

    marked = [(language, Markup(text)) for language, text in texts]  # noqa: S704 - made by _html from our pages
    return page_of("runbook", locale, texts=marked, query=query, alert=alert)


def _html(text: str, query: str) -> str:
    """As HTML; links between runbooks lead to their pages."""

    def linked(target: str) -> str:
        page = _PAGE.fullmatch(target)
        return target if page is None else f"{_PATH}/{page[1]}{query}"

    return html_of_page(
        text, linked, anchors=False
    )  # both languages are on the page, so a name is there twice
