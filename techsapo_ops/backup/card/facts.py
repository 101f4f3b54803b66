"""What the recovery card of a stack says, apart from words and layout."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from techsapo_ops import __version__
from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.packed import open_plain
from techsapo_ops.backup.describing import variables
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.backup.repository.records import of_offsite
from techsapo_ops.drills.report import newest
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.app.kind import App
from techsapo_ops.services.registry import facts as facts_of_kinds
from techsapo_ops.spec.front_door import host_names
from techsapo_ops.spec.models.base import is_loopback
from techsapo_ops.stack.stack import Stack

_NOTE = "recovery-card.json"
_LONGEST = 1024 * 1024
BEFORE = ("restic", "python3-venv")
"""Packages without which the first command is not there."""
SSH = "openssh-client"
"""What restic runs for sftp: a small Debian has none."""
_LEAST_ROOM = 10 * 1024**3
_LOGIN = re.compile(r"(?<=://)[^/\s]*@")
_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):[^/\s]*(?=@)")
_MOVING = (
    "copied",
    "proved",
    "proof_seconds",
    "proof",
    "room",
    "host",
    "variables",
    "version",
    "drilled",
    "drill_seconds",
)
"""Facts that change by themselves, or with who asks: no reason to print the card anew. The version that is
installed from it is that of the newest copy."""


@dataclass(frozen=True, slots=True)
class Card:
    """One card. Paths and addresses are those of the stack; nothing of it is secret."""

    project: str
    host: str
    version: str
    repository: str
    password_kept: str
    logins: tuple[str, ...]
    """Names of the variables that restic reads its login from."""
    secret_logins: tuple[str, ...]
    """Those of them that are not to be shown while they are typed."""
    options: Mapping[str, str]
    """restic's `-o`."""
    variables: tuple[str, ...]
    """Names of the variables that the spec reads, and that are in no copy."""
    directory: str
    from_images: bool
    """Whether Docker runs the services."""
    packages: tuple[str, ...]
    account: str
    """The system user that root lets the app run as, which a new machine lacks; "" where there is none."""
    tracing: bool
    names: tuple[str, ...]
    ports: tuple[int, ...]
    contacts: tuple[str, ...]
    room: int
    """Bytes that the new machine should have free."""
    copied: datetime | None
    """When the newest copy went off-site."""
    proved: datetime | None
    """When a copy was last fetched and restored as a test, `proof` its backup, and how long that took."""
    proof: str = ""
    proof_seconds: float = 0.0
    drilled: datetime | None = None
    """When a recovery was last drilled, and how long it took."""
    drill_seconds: float = 0.0
    hosts: tuple[str, ...] = ()
    """Name and address of each, where the stack is on several."""

    @property
    def lacking(self) -> tuple[str, ...]:
        """What somebody would look for on it in vain, and which field says it."""
        gaps = []
        if not self.password_kept:
            gaps.append(
                msg(
                    "the recovery card does not say where the password is kept: set "
                    "backup.offsite.password_kept"
                )
            )
        if not self.contacts:
            gaps.append(msg("the recovery card does not say whom to call: set contacts"))
        if self.proved is None:
            gaps.append(
                msg("no off-site copy has ever been verified: run `techsapo backup verify --offsite`")
            )
        if self.copied is None:
            gaps.append(msg("no off-site copy is known: run `techsapo backup`"))
        if ":" not in self.repository:
            gaps.append(
                msg(
                    "the repository {repository} is a folder: if it is on a disk of this host, it is lost "
                    "with the host",
                    repository=self.repository,
                )
            )
        return tuple(gaps)


def card_of(stack: Stack) -> Card:
    """The card of `stack` as it is now. Raises OpsError without a second place: then nothing comes back."""
    offsite = stack.spec.backup.offsite
    if offsite is None:
        raise OpsError(
            msg("the spec has no backup.offsite: if this host is lost, nothing can be recovered"),
            msg('docs/backup.md, "A second place", shows how to set up off-site copies'),
            exit_code=2,
        )
    place = (
        offsite.restic if ":" in offsite.restic else str(stack.directory / Path(offsite.restic).expanduser())
    )
    names, hidden = logins(place)
    away = [
        datetime.fromisoformat(check["at"])
        for backup in repository_of(stack).backups()
        if (check := repository_of(stack).checks(backup).get("offsite", {})).get("ok")
    ]
    drill = newest(stack.layout).get("recover")
    good = of_offsite(stack.layout).get("good")
    size = sum(part.raw_bytes for b in repository_of(stack).ours()[-1:] for part in b.read().parts)
    return Card(
        project=stack.spec.project,
        host=socket.gethostname(),
        version=__version__,
        repository=shown(place),
        password_kept=offsite.password_kept or "",
        logins=names,
        secret_logins=hidden,
        options=dict(offsite.options),
        variables=variables(stack),
        directory=str(stack.directory),
        from_images=stack.topology.places.from_images,
        packages=_packages(stack),
        account=_account(stack),
        tracing=stack.spec.app.tracing is not None,
        names=tuple(name for name in host_names(stack.spec) if not _stays(name)),
        ports=_ports(stack),
        contacts=stack.spec.contacts or (),
        room=_LEAST_ROOM + 4 * size,
        copied=max(away, default=None),
        proved=datetime.fromisoformat(good["at"]) if good else None,
        proof=str(good["id"]) if good else "",
        proof_seconds=float(good["seconds"]) if good else 0.0,
        drilled=drill.started if drill is not None else None,
        drill_seconds=drill.seconds if drill is not None else 0.0,
        hosts=tuple(f"{each.name} ({each.address})" for each in stack.topology.machines),
    )


def _stays(name: str) -> bool:
    """Whether `name` is that of any machine for itself, so that no DNS is to be changed."""
    return is_loopback(name) or name.endswith(".localhost")


def _account(stack: Stack) -> str:
    users = (service.user for service in stack.topology.services if service.kind == App.facts.kind)
    return "" if stack.topology.places.from_images else next((user for user in users if user), "")


def _packages(stack: Stack) -> tuple[str, ...]:
    offsite = stack.spec.backup.offsite
    before = (*BEFORE, *((SSH,) if offsite and over_ssh(offsite.restic) else ()))
    if stack.topology.places.from_images:
        return (*before, "docker.io", "docker-compose")
    kinds = {service.kind for service in stack.topology.services}
    of_services = [
        known.package for kind, known in facts_of_kinds().items() if kind in kinds and known.package
    ]
    tools = [
        tool.package
        for kind in registry.kinds()
        if kind.throwaway in kinds or kind.service(kind.name) in kinds
        for tool in kind.tools
    ]
    return tuple(dict.fromkeys((*before, *of_services, *tools)))


def _ports(stack: Stack) -> tuple[int, ...]:
    """Those that users come in by, where that is from elsewhere than this host."""
    spec = stack.spec
    if not spec.exposed:
        return ()
    if not spec.runs_nginx:
        return (spec.app.port,)
    return (spec.nginx.listen, *((spec.nginx.tls_listen,) if spec.served_certificate is not None else ()))


def facts_to_compare(card: Card) -> dict[str, str]:
    """A digest of each fact that a printed card would be wrong by."""
    values = asdict(card)
    names = [f.name for f in fields(card) if f.name not in _MOVING]
    return {
        name: hashlib.sha256(json.dumps(values[name], sort_keys=True, default=str).encode()).hexdigest()
        for name in names
    }


def note_printed(stack: Stack, card: Card) -> None:
    """Note what was printed and when. Raises OpsError where it can't be written."""
    note = {"printed": datetime.now(UTC).isoformat(timespec="seconds"), "facts": facts_to_compare(card)}
    write_atomic(stack.layout.state / _NOTE, (json.dumps(note, indent=1) + "\n").encode(), 0o600)


def printed(stack: Stack) -> tuple[datetime, Mapping[str, str]] | None:
    """When the card was last printed and what it said; None where it never was, or that can't be read."""
    try:
        with open_plain(stack.layout.state / _NOTE) as file:
            note: Any = json.loads(file.read(_LONGEST))
        at = datetime.fromisoformat(note["printed"])
        return at, {str(key): str(value) for key, value in note["facts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def shown(place: str) -> str:
    """The repository without its login; SSH's has the account in the address alone, and it is no secret."""
    return _PASSWORD.sub(r"\1", place) if over_ssh(place) else _LOGIN.sub("", place)


def over_ssh(place: str) -> bool:
    return place.startswith("sftp:")


def ssh_of(place: str) -> tuple[str, str]:
    """The machine of a repository over SSH, with the account, and the port; "" for SSH's own."""
    rest = place.removeprefix("sftp:")
    if not rest.startswith("//"):
        return rest.partition(":")[0], ""
    place = rest.lstrip("/").partition("/")[0]
    host, _, port = place.rpartition(":")
    return (host, port) if host and port.isdigit() else (place, "")


def logins(place: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Variables of the login, and those among them that are secret, by the kind of repository."""
    by_kind = {
        "s3": (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY",)),
        "rest": (("RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD"), ("RESTIC_REST_PASSWORD",)),
        "b2": (("B2_ACCOUNT_ID", "B2_ACCOUNT_KEY"), ("B2_ACCOUNT_KEY",)),
        "azure": (("AZURE_ACCOUNT_NAME", "AZURE_ACCOUNT_KEY"), ("AZURE_ACCOUNT_KEY",)),
    }
    return by_kind.get(place.partition(":")[0], ((), ()))
