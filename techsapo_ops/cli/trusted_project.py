"""What of a project, and of this program, decides what a command does: each is judged before it is used."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import techsapo_ops
from techsapo_ops.adapters.build import TEMPLATES
from techsapo_ops.adapters.folders import STATE_DIRECTORY
from techsapo_ops.adapters.strict_modes import StrictModes, UntrustedError
from techsapo_ops.adapters.trusted_users import trusted_users
from techsapo_ops.messages import msg
from techsapo_ops.spec.user_path import user_path
from techsapo_ops.stack.layout import (
    BACKUPS,
    DATA,
    DRILL_FOLDERS,
    OVERRIDES,
    PROOF_FOLDER,
    RECOVERY,
    RESTIC_CACHE,
    SCRATCH_FOLDER,
)

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.topology import Topology

_NOT_ACTED_BY = {BACKUPS, DATA, PROOF_FOLDER, RECOVERY, RESTIC_CACHE, SCRATCH_FOLDER}
"""What is below these in the state directory is a service's own, which root opens by descriptor; or it is
authenticated, or only shown; or it was fetched, with the owners of another host."""


def require_trust(file: Path | None, *, others: Iterable[Path] = ()) -> None:
    """Raise UntrustedError where others can change this program, the spec `file` with what belongs to it, or
    one of `others`.

    With None for what is of no project. Before anything is read; a few thousand lstat calls at most.
    """
    modes = StrictModes(trusted_users())
    _program(modes)
    if file is not None:
        _project(modes, file)
    for path in others:
        modes.judge(path)
    here = Path.cwd()
    imports = str(here) in sys.path and any(fault.path == here for fault in modes.faults)
    modes.require(
        msg("run the command in another folder: Python also imports modules from the current folder")
        if imports
        else ""
    )


def require_trust_in(spec: Spec, directory: Path) -> None:
    """Raise UntrustedError for what the spec names: the folder of templates, the programs of certificates."""
    modes = StrictModes(trusted_users())
    _named(modes, spec, directory)
    modes.require()


def require_trust_of_jobs(topology: Topology) -> UntrustedError | None:
    """See that root's jobs will run, where nobody runs sudo for them.

    Raises UntrustedError where cron would be refused. What the stack's supervisor starts knows of sudo: there
    the error is returned that a reboot would bring.
    """
    try:
        require_trust_unattended(topology.layout.spec_file, topology.spec)
    except UntrustedError as refused:
        if topology.spec.schedule.by == "cron":
            raise
        return refused
    return None


def require_trust_unattended(file: Path, spec: Spec) -> None:
    """Raise UntrustedError where root would be refused that nobody runs sudo for."""
    trusted = trusted_users({})
    if os.geteuid() != 0 or trusted_users() <= trusted:  # it was judged so when the project was opened
        return
    modes = StrictModes(trusted)
    _program(modes)
    _project(modes, file)
    _named(modes, spec, file.parent)
    modes.require()


def _named(modes: StrictModes, spec: Spec, directory: Path) -> None:
    if spec.template_overrides is not None:  # those next to the spec are judged with it
        modes.tree(user_path(spec.template_overrides, directory))
    for certificate in spec.certificates.values():
        for hook in (*certificate.deploy_hooks, certificate.dns_hook or ""):
            # One without a path is searched when it runs, and judged then; of an open quote the run tells.
            with suppress(ValueError):
                for word in shlex.split(hook)[:1]:
                    if "/" in word:
                        modes.judge(directory / word)


def _project(modes: StrictModes, spec: Path) -> None:
    modes.judge(spec)
    folder = spec.resolve().parent
    # Not as a folder above: where it is sticky, others could put there what is missing.
    modes.judge(folder)
    modes.judge(folder / ".env")
    modes.tree(folder / OVERRIDES)
    state = folder / STATE_DIRECTORY
    modes.judge(state)
    if modes.faults or not os.access(state, os.R_OK):
        return
    with os.scandir(state) as entries:
        for entry in entries:
            path = Path(entry.path)
            # A drill's scratch stack is judged by itself when the drill opens it.
            skipped = entry.name in _NOT_ACTED_BY or entry.name.startswith(DRILL_FOLDERS)
            if os.geteuid() == 0 and entry.is_dir(follow_symlinks=False) and not skipped:
                modes.tree(path, also=_service_users)
            else:
                modes.judge(path)


@cache
def _service_users() -> frozenset[int]:
    """Whose the rendered secrets may be: each service's own, on this host or in its container."""
    import pwd

    from techsapo_ops.services.registry import facts, service_users

    users = {each.uid for each in facts().values()}
    names = set(service_users())
    return frozenset(users | {entry.pw_uid for entry in pwd.getpwall() if entry.pw_name in names})


def _program(modes: StrictModes) -> None:
    """Python, where it imports from, this package, and the templates of a checkout."""
    package = Path(techsapo_ops.__file__).parent
    modes.judge(Path(sys.executable))
    modes.judge(Path(sys.prefix) / "pyvenv.cfg")
    for entry in dict.fromkeys(sys.path):
        modes.judge(Path(entry or "."))
    modes.tree(package)
    modes.tree(package.parent / TEMPLATES)
