"""The runbook of an alert: the catalogue's own page, or the file that the spec names for a service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.catalogue.pages import runbooks
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.material import Material, Page, Subject
from techsapo_ops.incidents.readers.files import open_log
from techsapo_ops.messages import msg

MOST_BYTES = 64 * 1024
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_URL = re.compile(r"https?://\S+")


@dataclass(frozen=True, slots=True)
class OwnRunbooks:
    """The catalogue's pages for a stack on so many `hosts`, 0 for one. `commands` replace the catalogue's."""

    locale: str
    hosts: int = 0
    commands: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, subject: Subject, start: datetime, end: datetime) -> Material:
        """The page of the alert; nothing for one that is not the catalogue's."""
        page = runbooks().get(subject.alert)
        if page is None:
            return Material(subject, start, end)
        text = page.of_stack(self.commands, hosts=self.hosts, locales=(self.locale,)).text[self.locale]
        return Material(subject, start, end, pages=sections(f"{subject.alert}.md", text))


@dataclass(frozen=True, slots=True)
class ServiceRunbook:
    """The runbook of a service of the team's: a file, or a URL, which is named and not fetched."""

    place: str
    folder: Path

    def __call__(self, subject: Subject, start: datetime, end: datetime) -> Material:
        """Its sections. Raises OpsError where the file can't be read."""
        return Material(subject, start, end, pages=self._pages())

    def readable(self) -> None:
        """Raise OpsError where the file can't be read."""
        self._pages()

    def _pages(self) -> tuple[Page, ...]:
        if _URL.fullmatch(self.place):
            return (Page("runbook", self.place, "", self.place),)
        path = self.folder / Path(self.place).expanduser()
        try:
            with open_log(path) as file:
                text = file.read(MOST_BYTES).decode(errors="replace")
        except OSError as error:
            raise OpsError(msg("{path}: {strerror}", path=path, strerror=error.strerror)) from None
        return sections(path.name, text)


def sections(file: str, text: str) -> tuple[Page, ...]:
    """A Markdown page by its headings, each with what is below it; those with nothing are left out."""
    first, *parts = _HEADING.split(harmless(text))
    pairs = [("", first), *zip(parts[::2], parts[1::2], strict=True)]
    return tuple(
        Page("runbook", file, heading.strip(), body.strip()) for heading, body in pairs if body.strip()
    )
