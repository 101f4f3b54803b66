"""Rich's console, without what a terminal takes for orders in the texts that it prints."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from typing_extensions import override

from techsapo_ops.adapters.terminal import harmless


class HarmlessConsole(Console):
    """A console whose texts are harmless, whatever they come from; its own colours and moves stay."""

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Every text that is printed comes by here."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                style = segment.style
                yield Segment(harmless(segment.text), style.update_link(None) if style else style)
