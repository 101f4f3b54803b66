"""Takes secrets and personal data out of text: by rules, by name, and by the values that are known. Pure."""

from __future__ import annotations

from typing import Literal

MASK = "********"
"""What people see in place of a secret that is known to be one."""
MaskLevel = Literal["off", "secrets", "personal"]
"""How much the rules take out of a text."""
