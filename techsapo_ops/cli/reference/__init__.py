"""Pages that are made from the code: configuration, commands with their man pages, metrics, alerts.

The app shows them under /help, `make docs` builds them into the site, `make link` writes the man pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

INDEX = "index"
NAMES = ("configuration", "commands", "metrics", "alerts")
LANGUAGES = ("en", "ja")


def reference_pages() -> Mapping[str, Callable[[], str]]:
    """What makes the Markdown of each page, by its path below docs/.

    What `index.md` and `index.ja.md` make is no page of its own: it goes to the end of the hand-written one.
    """
    return dict(_pages())


def _pages() -> Iterator[tuple[str, Callable[[], str]]]:
    for language in LANGUAGES:
        end = ".ja.md" if language == "ja" else ".md"
        yield f"{INDEX}{end}", partial(_index, language)
        for name in NAMES:
            yield f"reference/{name}{end}", partial(_page, name, language)


def _page(name: str, language: str) -> str:
    # Only who reads a page needs every command imported.
    from techsapo_ops.cli.reference.commands import commands_page
    from techsapo_ops.cli.reference.tables import alerts_page, configuration_page, metrics_page

    pages = {
        "configuration": configuration_page, "commands": commands_page,
        "metrics": metrics_page, "alerts": alerts_page,
    }  # fmt: skip
    return pages[name](language)


def _index(language: str) -> str:
    from techsapo_ops.cli.reference.tables import page_text, words

    end = ".ja.md" if language == "ja" else ".md"
    links = (f"- [{words(name, 'title', language)}](reference/{name}{end})" for name in NAMES)
    return page_text(
        [f"## {words(INDEX, 'title', language)}", "", words(INDEX, "about", language), "", *links]
    )
