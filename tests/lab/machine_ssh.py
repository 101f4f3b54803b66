"""How machines of a lab are reached by ssh: a key, a server in each machine, a client that knows them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from searched import searching
from servers import binary

_SERVER = """\
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
PidFile none
"""
_CLIENT = """\
Host *
  User root
  IdentityFile {folder}/client
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
  StrictHostKeyChecking yes
"""


def keys(folder: Path, addresses: list[str]) -> None:
    """Make what servers and clients of the machines with these addresses need, into `folder`."""
    folder.mkdir()
    for name in ("host", "client"):
        argv = [binary("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    kind, key, _ = (folder / "host.pub").read_text().split()
    (folder / "known").write_text(f"{','.join(addresses)} {kind} {key}\n")
    (folder / "server.conf").write_text(_SERVER.format(folder=folder))
    (folder / "client.conf").write_text(_CLIENT.format(folder=folder))
    (client := folder / "bin/ssh").parent.mkdir()
    client.write_text(f'#!/bin/sh\nexec {binary("ssh")} -F {folder}/client.conf "$@"\n')
    client.chmod(0o755)


def environment(folder: Path) -> dict[str, str]:
    """Variables with which `ssh`, as docker calls it for `ssh://…`, gets into the machines."""
    return searching(f"{folder / 'bin'}:{os.environ['PATH']}", folder / "searched")
