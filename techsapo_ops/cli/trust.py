"""`techsapo config trust`: whose files root may use."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from techsapo_ops.adapters.trusted_users import TRUSTED_USERS, record_users, recorded_users, uid_of
from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.options import JsonOutput
from techsapo_ops.cli.output import Output
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

app = CommandGroup(
    no_args_is_help=True, help="Say whose files root may use, e.g. `techsapo config trust add alice`."
)
UserArgument = Annotated[str, typer.Argument(help="A user of this host, by name or number.")]


@app.command()
def add(user: UserArgument) -> None:
    """Let root use what belongs to a user, who can then act as root.

    Needed where root runs techsapo without sudo, such as from cron, on files of somebody else's.

    Examples:

      techsapo config trust add alice
    """
    _root_only()
    if (uid := uid_of(user)) is None:
        raise OpsError(
            msg("there is no user {user}", user=user), msg("`getent passwd` lists the users"), exit_code=2
        )
    out = Output()
    if uid == 0:
        out.say(msg("root is trusted as it is"))
        return
    record_users({*recorded_users(), user})
    out.say(
        msg(
            "root trusts {user} (uid {uid}), by {trusted_users}",
            user=user,
            uid=uid,
            trusted_users=TRUSTED_USERS,
        )
    )


@app.command()
def remove(user: UserArgument) -> None:
    """Take back what `add` allowed.

    Examples:

      techsapo config trust remove alice
    """
    _root_only()
    users = recorded_users()
    if user not in users:
        raise OpsError(
            msg("{user} is not trusted", user=user),
            msg("`techsapo config trust list` shows who is"),
            exit_code=2,
        )
    record_users(name for name in users if name != user)
    Output().say(msg("root no longer trusts {user}", user=user))


@app.command(name="list")
def list_users(*, out: JsonOutput) -> None:
    """List the users whom root trusts.

    Examples:

      techsapo config trust list
    """
    users = [(user, uid_of(user)) for user in recorded_users()]
    if out.as_json:
        out.json([{"user": user, "uid": uid} for user, uid in users])
    elif users:
        missing = msg("no such user")
        out.table(("USER", "UID"), [(user, missing if uid is None else str(uid)) for user, uid in users])
    else:
        out.say(msg("nobody is recorded; under sudo, root also trusts the user who ran it"))


def _root_only() -> None:
    if os.geteuid() != 0:
        raise OpsError(msg("only root says whom root trusts"), msg("run it with sudo"))
