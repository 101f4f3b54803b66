"""What hatchling asks of us: a long description whose links work outside the repository, and man pages.

README.md links to files beside it. On a package index these lead nowhere, so they are made absolute when the
package is built: `repository` in pyproject.toml says from where. As long as there is no such address, a link
becomes its words and a picture goes, for a dead link is worse than none.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

MAN = "build/man"
"""Where `make docs` writes them, from the code: git ignores them."""

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]*)\)")
_FENCE = re.compile(r"^(```.*?^```)", re.DOTALL | re.MULTILINE)
_PICTURES = "svg", "png", "jpg", "gif", "webp"


def long_description(readme: str, repository: str, tag: str) -> str:
    """`readme` with links to files of `repository` (https://HOST/OWNER/NAME, or empty) at `tag`."""

    def absolute(match: re.Match[str]) -> str:
        image, words, target = match.groups()
        if re.match(r"[a-z]+:", target):
            return match[0]
        if not repository:
            return "" if image else str(words)
        # A page shows a picture, so a link to one has to give the picture itself.
        how = "raw" if target.rpartition(".")[2] in _PICTURES else "blob"
        return f"{image}[{words}]({repository.rstrip('/')}/{how}/{tag}/{target})"

    def section(target: str) -> bool:
        return target.startswith("#")

    def each(match: re.Match[str]) -> str:
        return match[0] if section(match[3]) else absolute(match)

    parts = _FENCE.split(readme)
    text = "".join(part if n % 2 else _LINK.sub(each, part) for n, part in enumerate(parts))
    return re.sub(r"\n{3,}", "\n\n", text)


def addresses(repository: str, tag: str) -> dict[str, str]:
    """What an index shows beside the description; nothing without an address."""
    if not repository:
        return {}
    root = repository.rstrip("/")
    return {
        "Source": root,
        "Documentation": f"{root}/blob/{tag}/docs/index.md",
        "Changelog": f"{root}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{root}/issues",
    }


class Description(MetadataHookInterface):
    """Sets `readme` and `urls`, which pyproject.toml names as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add both to `metadata`. A missing README.md is an OSError, as it is without this hook."""
        repository, tag = self.config.get("repository", ""), f"v{metadata['version']}"
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": long_description(text, repository, tag),
        }
        metadata["urls"] = addresses(repository, tag)


class ManPages(BuildHookInterface):  # type: ignore[type-arg] # generic in newer versions alone
    """Puts the man pages into a wheel where they have been made; another one has none."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's
        """Add them to what the wheel installs outside the package."""
        if (Path(self.root) / MAN).is_dir():
            build_data["shared_data"][MAN] = "share/man/man1"
