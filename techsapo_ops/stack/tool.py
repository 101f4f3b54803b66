"""A program of this host beside the services' own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that checks or looks into services of a kind, and the Debian package that brings it."""

    name: str
    package: str
    purpose: str
    in_image: str | None = None
    """Its name in the image of the kind, where that is another than Debian's."""
