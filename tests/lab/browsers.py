"""A headless Chromium whose console is listened to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Page

FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


@dataclass
class Window:
    """One page, what its console said, and the hosts that it asked."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def assert_clean(self, allowed: str = "") -> None:
        """No error or warning, thus no breach of the content security policy, and no request elsewhere.

        Chromium itself complains of an answer that is an error: lines with the status `allowed`, and of
        connections that were refused on purpose, do not count.
        """
        told = [c for c in self.complaints if not (allowed and allowed in c) and "ERR_" not in c]
        assert told == []
        assert len(self.hosts) <= 1, self.hosts


@contextmanager
def browser(*flags: str) -> Iterator[Callable[..., Window]]:
    """Opens windows of a given width and height; further words are those of Playwright's new_context.

    `flags` are further ones of Chromium.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*FLAGS, *flags])

        def window(width: int, height: int, **context: object) -> Window:
            size = {"width": width, "height": height}
            known = {"viewport": size, "locale": "ja", **context}
            page = chromium.new_context(**known).new_page()  # type: ignore[arg-type]
            made = Window(page)

            def hear(message: object) -> None:
                kind, text = getattr(message, "type", "error"), getattr(message, "text", str(message))
                if kind in {"error", "warning"}:
                    made.complaints.append(text)

            page.on("console", hear)
            page.on("pageerror", lambda error: made.complaints.append(str(error)))
            page.on("request", lambda request: made.hosts.add(urlsplit(request.url).netloc))
            return made

        try:
            yield window
        finally:
            chromium.close()


def violations(page: Page, axe: str) -> list[str]:
    """What axe-core finds wrong, its best practices included."""
    page.evaluate("Promise.all(document.getAnimations().map((each) => each.finished))")
    page.evaluate(axe)
    found: list[dict[str, Any]] = page.evaluate("axe.run().then((result) => result.violations)")
    return [
        f"{page.url} {rule['id']} ({rule['impact']}): {node['target']} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]
