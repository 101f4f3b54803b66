"""Off-site repositories on an S3 API, by SFTP, and on restic's REST server, which both hosts reach."""

from __future__ import annotations

import base64
import hashlib
import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers import binary, free_port, running, tcp_open

PASSWORD = 'restic\'s "own"'
_LOGIN = "canary-of-the-recovery"


@dataclass(frozen=True)
class Place:
    """A repository: what the spec has of it, and what a new host is given beside its password."""

    name: str
    url: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    @property
    def offsite(self) -> dict[str, Any]:
        """`backup.offsite` of the spec."""
        return {"restic": self.url, "password": PASSWORD, **self.fields}


@contextmanager
def s3(folder: Path, address: str) -> Iterator[Place]:
    """An S3 API; any login is let in."""
    port = free_port()
    argv = [sys.executable, "-m", "moto.server", "-H", address, "-p", str(port)]
    login = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": _LOGIN}
    with running(argv, folder, port, lambda: tcp_open(port, address)):
        yield Place("S3", f"s3:http://{address}:{port}/backups/techsapo", {"environment": login}, login)


@contextmanager
def sftp(folder: Path, address: str) -> Iterator[Place]:
    """An sshd that lets one key in."""
    folder.mkdir(parents=True)
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "client.pub").rename(folder / "authorized")
    port = free_port()
    configuration = folder / "sshd_config"
    configuration.write_text(
        f"Port {port}\nListenAddress {address}\nHostKey {folder}/host\n"
        f"AuthorizedKeysFile {folder}/authorized\n"
        "PasswordAuthentication no\nUsePAM no\nStrictModes no\nPidFile none\nPermitRootLogin yes\n"
        "Subsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    arguments = f"-i {folder}/client -o UserKnownHostsFile={folder}/known -o StrictHostKeyChecking=accept-new"
    user = pwd.getpwuid(os.geteuid()).pw_name
    with running(
        [binary("sshd"), "-D", "-e", "-f", str(configuration)], folder, port, lambda: tcp_open(port, address)
    ):
        yield Place(
            "SFTP",
            f"sftp://{user}@{address}:{port}/{folder}/away",
            {"options": {"sftp.args": arguments}},
            options=("-o", f"sftp.args={arguments}"),
        )


@contextmanager
def rest(folder: Path, address: str) -> Iterator[Place]:
    """restic's own REST server, with a login."""
    folder.mkdir(parents=True)
    digest = base64.b64encode(hashlib.sha1(_LOGIN.encode()).digest()).decode()  # noqa: S324 - its format
    (folder / ".htpasswd").write_text(f"me:{{SHA}}{digest}\n")
    port = free_port()
    argv = [
        binary("restic-rest-server"), "--listen", f"{address}:{port}", "--path", str(folder),
        "--private-repos", "--append-only",
    ]  # fmt: skip
    login = {"RESTIC_REST_USERNAME": "me", "RESTIC_REST_PASSWORD": _LOGIN}
    with running(argv, folder, port, lambda: tcp_open(port, address)):
        yield Place(
            "REST",
            f"rest:http://{address}:{port}/me/techsapo",
            {"environment": login},
            login,
        )


PLACES: tuple[Callable[[Path, str], AbstractContextManager[Place]], ...] = (s3, sftp, rest)
