"""techsapo.service: brings the stack up after a reboot."""

from __future__ import annotations

import re
from pathlib import Path

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.scheduler.timetable import job_folders
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

UNIT = "systemd/techsapo.service"

_ESCAPED = {"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$"}
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def systemd_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """systemd/techsapo.service: a system unit where root made it, else one for `systemctl --user`.

    It runs `techsapo up` and `techsapo down`, which start and stop services in order; the supervisor that
    `up` leaves behind lives in the unit's control group. It names no environment: `up` stays in the one that
    was applied.
    """
    layout = topology.layout

    def command(name: str, *options: str) -> str:
        words = [topology.host.python, "-m", "techsapo_ops", name, "--file", str(layout.spec_file)]
        return " ".join(systemd_quote(word) for word in (*words, *options))

    content = templates.render(
        "systemd/techsapo.service.j2",
        project=topology.spec.project,
        command=command,
        root=topology.host.root,
        writable=writable_paths(topology.spec, layout.spec_file.parent),
    )
    return (RenderedFile(UNIT, content),)


def systemd_quote(word: str) -> str:
    """`word` as one argument of Exec…= (systemd.service(5), "Command lines")."""
    if CONTROL.search(word):
        raise OpsError(msg("{word} holds a control character", word=repr(word)), msg("rename the folder"))
    return '"' + "".join(_ESCAPED.get(character, character) for character in word) + '"'


def systemd_word(value: str) -> str:
    """One word of a setting; unlike in Exec…= a dollar means nothing there."""
    return systemd_quote(value).replace("$$", "$")


def writable_paths(spec: Spec, directory: Path) -> str:
    """ReadWritePaths=: the project, scratch space, the backups, and where certificates are installed."""
    scratch = ("/tmp", "/var/tmp")  # noqa: S108 - named in a unit, not used
    folders = (directory, *scratch, *(path for path, _ in job_folders(spec, directory)))
    return " ".join(systemd_word(f"-{folder}") for folder in folders)
