"""The specs of docs/providers.md, each with the heading that it stands under."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from techsapo_ops.catalogue.yaml_text import read_yaml

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^## (?P<heading>[^\n]+)$|^```yaml\n(?P<spec>.*?)^```$", re.MULTILINE | re.DOTALL)


def recipes(page: str) -> list[tuple[str, str]]:
    """Heading and text of each spec in a page of docs/."""
    found: list[tuple[str, str]] = []
    heading = ""
    for match in _BLOCK.finditer((DOCS / page).read_text(encoding="utf-8")):
        heading = match["heading"] or heading
        if match["spec"]:
            found.append((heading, match["spec"]))
    return found


def documented_providers(page: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Heading, name and section of each provider in a page of docs/."""
    return [
        (heading, name, section)
        for heading, spec in recipes(page)
        for name, section in read_yaml(spec)["providers"].items()
    ]
