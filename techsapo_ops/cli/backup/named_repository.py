"""The off-site repository that a command line names, and what opens it, which no command line should hold."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote

import typer

from techsapo_ops.adapters.files import read_text
from techsapo_ops.adapters.process import which
from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.backup.repository.restic import Restic
from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.output import interactive
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.secret import Secret
from techsapo_ops.spec.user_path import user_path

_REST_USER = re.compile(r"(rest:https?://)([^/@:\s]+)@")


def place_of(repository: str) -> str:
    """The repository as restic names it, a folder by its whole path."""
    return repository if ":" in repository else str(user_path(repository).absolute())


def restic_at(place: str, password_file: Path | None, options: Sequence[str], cache: Path) -> Restic:
    """The repository; asks on a terminal for the passwords that nothing tells. Raises OpsError."""
    binary = which("restic")
    if binary is None:
        raise OpsError(msg("restic is not on PATH"), "apt-get install restic")
    pairs = {}
    for each in options:
        key, equals, value = each.partition("=")
        if not equals:
            raise OpsError(
                msg("-o {each}: there is no `=`", each=each),
                msg("write -o KEY=VALUE, as restic has it"),
                exit_code=2,
            )
        pairs[key] = value
    password = _password(password_file)
    return Restic(runner(), binary, _with_password(place), password, cache, pairs, given="--from")


def _with_password(place: str) -> str:
    """The address of a REST server with the password of the user that it names: restic has it by its
    environment, where nobody sees it.
    """
    named = _REST_USER.match(place)
    if named is None:
        return place
    user, password = unquote(named[2]), os.environ.get("RESTIC_REST_PASSWORD", "")
    if not password and interactive():
        password = typer.prompt(f"password of {harmless(user)} at the REST server", hide_input=True, err=True)
    if not password:
        raise OpsError(
            msg("the password of {user} at the REST server is missing", user=user),
            msg("set RESTIC_REST_PASSWORD"),
            exit_code=2,
        )
    return f"{named[1]}{named[2]}:{quote(password, safe='')}@{place[named.end() :]}"


def _password(file: Path | None) -> Secret:
    named = file or (
        Path(os.environ["RESTIC_PASSWORD_FILE"]) if os.environ.get("RESTIC_PASSWORD_FILE") else None
    )
    if named is not None:
        value = read_text(named, what=msg("password")).rstrip("\r\n")
    elif not (value := os.environ.get("RESTIC_PASSWORD", "")) and interactive():
        value = typer.prompt("password of the repository", hide_input=True, err=True)
    if not value:
        raise OpsError(
            msg("the repository's password is missing"),
            msg("name a file with --password-file, or set RESTIC_PASSWORD"),
            exit_code=2,
        )
    return Secret(value)
