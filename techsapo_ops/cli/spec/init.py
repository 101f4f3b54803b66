"""`techsapo init`."""

from __future__ import annotations

import re
import secrets
import shlex
from pathlib import Path
from typing import Annotated

import typer

from techsapo_ops.adapters.files import read_text, write_atomic
from techsapo_ops.adapters.folders import STATE_DIRECTORY, keep_out_of_git
from techsapo_ops.cli.options import QuietOutput
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.place import DEFAULT_SPEC
from techsapo_ops.cli.trusted_project import require_trust
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.render.templates import Templates
from techsapo_ops.spec.load import load

_TEMPLATE = "init/techsapo.yaml.j2"
_SECRETS = "secrets"
_GRAFANA = f"{_SECRETS}/grafana"
_OWN_PASSWORD = f"""
# The password of Grafana's user admin is in this file, made for this copy.
monitoring:
  grafana: {{admin_password_file: {_GRAFANA}}}
"""


def init(
    path: Annotated[
        Path, typer.Argument(help="Spec file to write, or the folder to write techsapo.yaml into.")
    ] = DEFAULT_SPEC,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing spec.")] = False,
    example: Annotated[
        Path | None, typer.Option("--example", hidden=True, help="Spec to copy, as `make up` does.")
    ] = None,
    *,
    out: QuietOutput,
) -> None:
    """Write a commented techsapo.yaml to start from, and a fresh Grafana password.

    The password is written to a file in secrets/ beside the spec, readable only by you; an existing password
    is not changed. For several hosts, see docs/three-machines.md.

    Examples:

      techsapo init

      techsapo init /srv/techsapo
    """
    spec = path if path.suffix in {".yaml", ".yml"} and not path.is_dir() else path / DEFAULT_SPEC
    require_trust(spec, others=[spec.parent / _SECRETS])
    if spec.exists() and not force:
        raise OpsError(
            msg("{spec} already exists", spec=spec),
            msg("edit the existing file, or overwrite it with --force"),
        )
    if example is not None:
        _copy(example, spec, out)
        return
    text = Templates().render(
        _TEMPLATE, project=_project_name(spec.resolve().parent.name), grafana_password_file=_GRAFANA
    )
    made = _grafana_password(spec.parent / _GRAFANA)
    write_atomic(spec, text.encode())
    keep_out_of_git(spec.parent / STATE_DIRECTORY)
    out.say(msg("wrote {spec}", spec=spec))
    _say_password(spec.parent / _GRAFANA, made, out)
    out.say(msg("alerts and the weekly report reach no one yet: fill in `notifications` (docs/alerts.md)"))
    named = "" if spec == DEFAULT_SPEC else f" --file {shlex.quote(str(spec))}"
    out.say(msg("`techsapo validate{named}` checks your changes", named=named))
    out.next(f"techsapo up{named}")


def _copy(example: Path, spec: Path, out: Output) -> None:
    """Write a copy of `example`, which names no password of Grafana's, with one that is made for it."""
    text = read_text(example, what="example") + _OWN_PASSWORD
    load(text, {}, lambda _: "x", filename=str(example))
    made = _grafana_password(spec.parent / _GRAFANA)
    write_atomic(spec, text.encode())
    keep_out_of_git(spec.parent / STATE_DIRECTORY)
    out.say(msg("wrote {spec}, a copy of {example}", spec=spec, example=example))
    _say_password(spec.parent / _GRAFANA, made, out)


def _say_password(password: Path, made: bool, out: Output) -> None:
    whose = msg("the password of Grafana's user admin; keep this file out of version control")
    out.say(
        msg("created {password}: {whose}", password=password, whose=whose)
        if made
        else msg("{password} already exists and is unchanged", password=password)
    )


def _grafana_password(file: Path) -> bool:
    """Make the file with a random password; False where there is one."""
    if file.exists():
        return False
    try:
        file.parent.parent.mkdir(parents=True, exist_ok=True)
        file.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OpsError(
            msg("cannot create {parent}: {strerror}", parent=file.parent, strerror=error.strerror)
        ) from None
    ignore = file.parent / ".gitignore"
    if not ignore.exists():
        write_atomic(ignore, b"*\n")
    write_atomic(file, f"{secrets.token_urlsafe(18)}\n".encode(), mode=0o600)
    return True


def _project_name(folder: str) -> str:
    name = re.sub(r"[^a-z0-9_-]+", "-", folder.lower()).strip("-_")[:63].rstrip("-_")
    return name or "techsapo"
