"""`techsapo trust`: whose folders root may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.adapters.ownership import group_name, user_name
from techsapo_ops.adapters.trust import TRUSTED_FOLDERS, read_allowed, write_allowed
from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.options import JsonOutput
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.place import DEFAULT_SPEC
from techsapo_ops.cli.state_directory import layout_beside
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.operations.administration import begin_anyway, ending
from techsapo_ops.operations.root_trust import allow

if TYPE_CHECKING:
    from techsapo_ops.adapters.ownership import Allowed

app = CommandGroup(
    no_args_is_help=True,
    help="Say whose folders root may use, e.g. `techsapo trust add /home/alice/ops`.",
)
FolderArgument = Annotated[Path, typer.Argument(help="The folder of a spec, or of a Python environment.")]


@app.command()
def add(folder: FolderArgument) -> None:
    """Let root use a folder that other users may change: those users and groups can then act as root.

    Needed where root runs techsapo without sudo, such as from cron, in a folder of somebody else's.
    Written down are its real path, and who may change it now.

    Examples:

      techsapo trust add /home/alice/ops
    """
    _root_only()
    out = Output()
    made = allow(folder)
    if made is None:
        out.say(msg("root alone may change {folder}: nothing to allow", folder=folder.resolve()))
        return
    what = {"folder": str(made.folder), "users": sorted(made.users), "groups": sorted(made.groups)}
    with _noted(made.folder, msg("trust add"), what, out):
        out.say(
            msg(
                "root trusts {whom} in {folder}, by {trusted_folders}",
                whom=_whom(made),
                folder=made.folder,
                trusted_folders=TRUSTED_FOLDERS,
            )
        )


@app.command()
def remove(folder: FolderArgument) -> None:
    """Take back what `add` allowed.

    Examples:

      techsapo trust remove /home/alice/ops
    """
    _root_only()
    known = read_allowed()
    named = {folder.absolute(), folder.resolve()}
    left = [allowed for allowed in known if allowed.folder not in named]
    if len(left) == len(known):
        raise OpsError(
            msg("{folder} was not allowed", folder=folder.resolve()),
            msg("`techsapo trust list` shows what is"),
            exit_code=2,
        )
    out, real = Output(), folder.resolve()
    with _noted(real, msg("trust remove"), {"folder": str(real)}, out):
        write_allowed(left)
    out.say(msg("root no longer trusts others in {folder}", folder=folder.resolve()))


@app.command(name="list")
def list_folders(*, out: JsonOutput) -> None:
    """List the allowed folders, and whom root trusts in them.

    Examples:

      techsapo trust list
    """
    known = read_allowed()
    if out.as_json:
        out.json([_value(allowed) for allowed in known])
        return
    if not known:
        out.say(msg("no folder is allowed; under sudo, root also trusts what belongs to the user who ran it"))
        return
    rows = [
        (
            allowed.folder,
            ", ".join(map(user_name, sorted(allowed.users))) or "-",
            ", ".join(map(group_name, sorted(allowed.groups))) or "-",
        )
        for allowed in known
    ]
    out.table(("folder", "users", "groups"), rows)


def _value(allowed: Allowed) -> dict[str, Any]:
    return {
        "folder": str(allowed.folder),
        "users": sorted(allowed.users),
        "groups": sorted(allowed.groups),
    }


def _whom(allowed: Allowed) -> str:
    users = [user_name(uid) for uid in sorted(allowed.users)]
    return joined(
        ", ",
        [
            *users,
            *(msg("the group {group_name}", group_name=group_name(gid)) for gid in sorted(allowed.groups)),
        ],
    )


@contextmanager
def _noted(folder: Path, action: str, what: dict[str, Any], out: Output) -> Iterator[None]:
    """Record it with the stack in `folder`; where there is none, there is no record that it belongs to."""
    layout = layout_beside(folder / DEFAULT_SPEC, trusted=False)
    if layout.state.is_symlink() or not layout.state.is_dir():
        yield
        return
    with ending(begin_anyway(layout, action, what, out.warn), out.warn):
        yield


def _root_only() -> None:
    if os.geteuid() != 0:
        raise OpsError(msg("only root says whom root trusts"), msg("run it with sudo"))
