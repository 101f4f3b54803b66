"""`techsapo config explain`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.cli.completes import completes
from techsapo_ops.cli.options import JsonOutput
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.describe import explain as look_up

if TYPE_CHECKING:
    from techsapo_ops.spec.describe import Child, Explained

_WIDEST_DEFAULT = 40


def explain(
    path: Annotated[
        str,
        typer.Argument(
            help="Dotted path, e.g. app.instances; nothing for the top level.",
            autocompletion=completes("fields"),
        ),
    ] = "",
    *,
    out: JsonOutput,
) -> None:
    """Print a field's type, default and meaning, and what stands below it.

    Examples:

      techsapo config explain

      techsapo config explain app.instances

      techsapo config explain providers.api_key
    """
    explained = look_up(path)
    if out.as_json:
        out.json(_value(explained))
        return
    if explained.path:
        out.data(msg("{path}: {type}", path=explained.path, type=explained.type))
        out.data(msg("  {help}", help=explained.help))
        if explained.required:
            out.data(msg("  required"))
        elif not explained.children and "default:" not in explained.help.lower():
            out.data(msg("  default: {shown}", shown=_shown(explained.default) or msg("none")))
    of_kinds: dict[str, list[Child]] = {}
    for child in sorted(explained.children, key=lambda c: c.key != "kind"):  # the others depend on it
        of_kinds.setdefault(child.kind, []).append(child)
    for kind in sorted(of_kinds, key=bool):  # what every kind has, then the rest as it stands in the models
        if explained.path or kind:
            out.data("")
        if kind:
            out.data(msg("only for {kinds}:", kinds=kind))
        out.table(("key", "meaning"), [(child.key, _meaning(child)) for child in of_kinds[kind]])


def _meaning(child: Child) -> str:
    """The type and the default on a line of their own, above what the key is for.

    In columns side by side, a terminal of 80 characters has a few letters a line for each.
    """
    default, first = _shown(child.default), child.type
    if child.required:
        first = msg("{type}; required", type=child.type)
    elif default:
        first = msg("{type}; default: {default}", type=child.type, default=default)
    return joined("\n", (first, child.help)) if child.help else first


def _shown(default: Any) -> str:
    if default is None or default == [] or default == {}:
        return ""
    if isinstance(default, str):
        return default
    text = json.dumps(default, ensure_ascii=False)
    return text if len(text) <= _WIDEST_DEFAULT else "…"


def _value(explained: Explained) -> dict[str, Any]:
    return asdict(explained)
