"""`techsapo explain`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.cli.options import JsonOutput
from techsapo_ops.messages import msg
from techsapo_ops.spec.describe import explain as look_up

if TYPE_CHECKING:
    from techsapo_ops.spec.describe import Child, Explained

_WIDEST_DEFAULT = 40


def explain(
    path: Annotated[
        str, typer.Argument(help="Dotted path, e.g. app.instances; nothing for the top level.")
    ] = "",
    *,
    out: JsonOutput,
) -> None:
    """Print a field's type, default and meaning, and what stands below it.

    Examples:

      techsapo explain

      techsapo explain app.instances

      techsapo explain providers.api_key
    """
    explained = look_up(path)
    if out.as_json:
        out.json(_value(explained))
        return
    if explained.path:
        out.data(f"{explained.path}: {explained.type}")
        out.data(f"  {explained.help}")
        if explained.required:
            out.data(msg("  required"))
        elif not explained.children and "default:" not in explained.help.lower():
            out.data(msg("  default: {shown}", shown=_shown(explained.default) or msg("none")))
    if explained.children:
        if explained.path:
            out.data("")
        kinds = any(child.kind for child in explained.children)
        columns = ["key", "type", "default", "meaning", *(["only for"] if kinds else [])]
        out.table(columns, [_row(child, kinds) for child in explained.children])


def _row(child: Child, kinds: bool) -> list[str]:
    default = "(required)" if child.required else _shown(child.default)
    return [child.key, child.type, default, child.help, *([child.kind] if kinds else [])]


def _shown(default: Any) -> str:
    if default is None or default == [] or default == {}:
        return ""
    if isinstance(default, str):
        return default
    text = json.dumps(default, ensure_ascii=False)
    return text if len(text) <= _WIDEST_DEFAULT else "…"


def _value(explained: Explained) -> dict[str, Any]:
    return asdict(explained)
