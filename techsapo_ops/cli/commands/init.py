"""`techsapo init`."""

from __future__ import annotations

import re
import secrets
import shlex
from pathlib import Path
from typing import Annotated

import typer

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.folders import STATE_DIRECTORY, keep_out_of_git
from techsapo_ops.cli.options import DEFAULT_SPEC, QuietOutput
from techsapo_ops.cli.state_directory import require_trust
from techsapo_ops.errors import OpsError
from techsapo_ops.render.templates import Templates

_TEMPLATE = "init/techsapo.yaml.j2"
_SECRETS = "secrets"
_GRAFANA = f"{_SECRETS}/grafana"


def init(
    path: Annotated[
        Path, typer.Argument(help="File to write, or the folder to write it into.")
    ] = DEFAULT_SPEC,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a spec that is there.")] = False,
    *,
    out: QuietOutput,
) -> None:
    """Write a commented techsapo.yaml to start from, and a fresh Grafana password.

    The password goes into secrets/grafana beside the spec, readable by you alone; one that is there is kept.

    Examples:

      techsapo init

      techsapo init /srv/techsapo
    """
    spec = path if path.suffix in {".yaml", ".yml"} and not path.is_dir() else path / DEFAULT_SPEC
    require_trust(spec, others=[spec.parent / _SECRETS])
    if spec.exists() and not force:
        raise OpsError(f"{spec} is there already", "edit it, or overwrite it with --force")
    text = Templates().render(
        _TEMPLATE, project=_project_name(spec.resolve().parent.name), grafana_password_file=_GRAFANA
    )
    made = _grafana_password(spec.parent / _GRAFANA)
    write_atomic(spec, text.encode())
    keep_out_of_git(spec.parent / STATE_DIRECTORY)
    out.say(f"wrote {spec}")
    password = spec.parent / _GRAFANA
    whose = "the password of Grafana's user admin; keep it out of version control"
    out.say(f"made {password}: {whose}" if made else f"kept {password}")
    named = "" if spec == DEFAULT_SPEC else f" --file {shlex.quote(str(spec))}"
    out.next(f"`techsapo up{named}` starts the stack; `techsapo validate{named}` checks your changes")


def _grafana_password(file: Path) -> bool:
    """Make the file with a random password; False where there is one."""
    if file.exists():
        return False
    try:
        file.parent.parent.mkdir(parents=True, exist_ok=True)
        file.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OpsError(f"cannot make {file.parent}: {error.strerror}") from None
    ignore = file.parent / ".gitignore"
    if not ignore.exists():
        write_atomic(ignore, b"*\n")
    write_atomic(file, f"{secrets.token_urlsafe(18)}\n".encode(), mode=0o600)
    return True


def _project_name(folder: str) -> str:
    name = re.sub(r"[^a-z0-9_-]+", "-", folder.lower()).strip("-_")[:63].rstrip("-_")
    return name or "techsapo"
