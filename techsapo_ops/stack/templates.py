"""The templates of generated files, as what a kind of service is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Templates(Protocol):
    """Renders templates by name; the operator's own come before ours."""

    def render(self, name: str, **values: Any) -> str:
        """The text of template `name`. Raises OpsError for one that does not render."""
        ...

    def overrides(self) -> Mapping[str, str]:
        """Text of each template of the operator's own, by name."""
        ...
