"""Words of SQL, quoted."""

from __future__ import annotations


def literal(text: str) -> str:
    """`text` as a string of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def name(text: str) -> str:
    """`text` as a name of SQL."""
    return "`" + text.replace("`", "``") + "`"
