"""The index of the commands: what a shell needs to know of each without importing it."""

from __future__ import annotations

from typing import Any

import typer

from techsapo_ops.cli.completes import MARK
from techsapo_ops.cli.completion_index import static_names
from techsapo_ops.cli.lazy import LazyCommand


def index_of_commands(app: typer.Typer) -> dict[str, Any]:
    """Every command of `app` with its options and arguments, and the names that no project changes."""
    return {**_node(typer.main.get_command(app), "techsapo"), "names": static_names()}


def _node(command: Any, name: str) -> dict[str, Any]:
    lazy = isinstance(command, LazyCommand)
    real = command.resolve() if lazy else command
    context = typer.Context(real, info_name=name)
    params = [p for p in real.get_params(context) if not getattr(p, "hidden", False)]
    return {
        "help": command.get_short_help_str(),
        "passes_on": lazy and command.entry.passes_on,
        "options": [_option(p, context) for p in params if p.param_type_name == "option"],
        "arguments": [_argument(p, context) for p in params if p.param_type_name == "argument"],
        "commands": {
            below: _node(each, below)
            for below, each in getattr(real, "commands", {}).items()
            if not getattr(each, "hidden", False)
        },
    }


def _option(param: Any, context: Any) -> dict[str, Any]:
    return {
        "name": param.name,
        "names": [*param.opts, *param.secondary_opts],
        "flag": bool(param.is_flag),
        "help": param.help or "",
        **_offered(param, context),
    }


def _argument(param: Any, context: Any) -> dict[str, Any]:
    return {"many": param.nargs == -1, **_offered(param, context)}


def _offered(param: Any, context: Any) -> dict[str, Any]:
    """What kind of names it takes, or which words."""
    marked = [item.value for item in param.shell_complete(context, MARK)]
    if marked and marked[0].startswith(MARK) and marked[0] != MARK:
        return {"what": marked[0][len(MARK) :], "choices": []}
    choices = [item.value for item in param.shell_complete(context, "") if item.type == "plain"]
    return {"what": "", "choices": choices}
