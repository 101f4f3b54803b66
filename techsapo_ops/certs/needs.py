"""The certificates of a stack, and what each of them needs now."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from cryptography import x509

from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.adapters.process import Runner
from techsapo_ops.adapters.tls import names_of
from techsapo_ops.certs.checks import renewal_time, why_new
from techsapo_ops.certs.material import Pair
from techsapo_ops.certs.self_signed import CA_FOLDER, Authority, known_authority, local_authority
from techsapo_ops.certs.store import CertificateState, Store, Version, read_pair
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.nginx.certificate import NginxSites, nginx_sites
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.servers import Certificate
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology


class Need(StrEnum):
    """What is to be done for a certificate."""

    NOTHING = "nothing"
    ISSUE = "issue"
    RENEW = "renew"
    TAKE_OVER = "take over"
    """source files: the files are new."""
    DEPLOY = "deploy"
    """A stored version is not in use yet."""
    FINISH = "finish"
    """It is in use, but its link or its deploy hooks are still to come."""


@dataclass(frozen=True, slots=True)
class Due:
    """What a certificate needs and why; `at` is when it will be renewed, where that is known."""

    need: Need
    reason: str
    at: datetime | None = None


def utc_now() -> datetime:
    """The time, aware."""
    return datetime.now(UTC)


def _tell_nobody(_: str) -> None:
    pass


@dataclass(frozen=True)
class Certificates:
    """The certificates of one stack, and what work on them needs."""

    topology: Topology
    runner: Runner
    site: NginxSites | None = None
    """nginx, where it is to be asked."""
    now: Callable[[], datetime] = utc_now
    say: Callable[[str], None] = _tell_nobody

    @property
    def spec(self) -> Spec:
        """The spec of the stack."""
        return self.topology.spec

    @property
    def folder(self) -> Path:
        """The project's folder: where hooks run and relative paths begin."""
        return self.topology.layout.spec_file.parent

    def of(self, name: str) -> Managed:
        """The certificate `name`, which is in the spec and not served elsewhere."""
        return Managed(name, self)

    def managed(self, names: Sequence[str] = ()) -> Iterator[Managed]:
        """The certificates that are stored here, in the spec's order; `names` limits them.

        Raises OpsError for a name that is no certificate of this stack.
        """
        certificates = self.spec.certificates
        for name in names:
            if name not in certificates:
                known = [n for n, c in certificates.items() if c.source != "external"]
                raise unknown(msg("certificate"), name, known, hint=msg("describe it under `certificates`"))
            if certificates[name].source == "external":
                raise OpsError(
                    msg("certificate {name} has `source: external`, so it is only monitored", name=name),
                    exit_code=2,
                )
        for name, certificate in certificates.items():
            if certificate.source != "external" and (not names or name in names):
                yield self.of(name)

    def authority(self) -> Authority:
        """The stack's own CA. Raises OpsError."""
        return local_authority(self.topology.layout.certs / CA_FOLDER, self.now())

    def alone(self, wait: float) -> AbstractContextManager[object]:
        """Be the only techsapo at work on certificates. Not by the stack's lock: an order may take minutes.

        Raises OpsError when another one is for longer than `wait` seconds.
        """
        return exclusive(self.topology.layout.state / "certs.lock", wait=wait)


@dataclass(frozen=True)
class Managed:
    """One certificate that is stored here, in the spec as `name`."""

    name: str
    stack: Certificates

    @property
    def spec(self) -> Certificate:
        """What the spec says of it."""
        return self.stack.spec.certificates[self.name]

    @cached_property
    def store(self) -> Store:
        """Its versions, and what is remembered of it."""
        return Store(self.stack.topology.layout.certs / self.name)

    @property
    def site(self) -> NginxSites | None:
        """The nginx that serves it; None where none does, or it is not to be asked."""
        return self.stack.site if self.stack.spec.served_certificate == self.name else None

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it is made for."""
        return self.spec.names or self._server_name or ("localhost",)

    @property
    def required(self) -> tuple[str, ...]:
        """The names that it must be good for before it is served."""
        return tuple(dict.fromkeys((*self.spec.names, *self._server_name)))

    @property
    def _server_name(self) -> tuple[str, ...]:
        server = self.stack.spec.nginx.server_name
        serves = self.stack.spec.served_certificate == self.name
        return (server,) if serves and server is not None else ()

    def asked_name(self, leaf: x509.Certificate) -> str | None:
        """A name for which a client may ask the server of `leaf`; a wildcard stands for one."""
        return next((name.replace("*", "www", 1) for name in (*self.required, *names_of(leaf))), None)

    @property
    def link(self) -> Path | None:
        """The link to its chain that `install_to` asks for."""
        if self.spec.install_to is None:
            return None
        return self.stack.folder / Path(self.spec.install_to).expanduser() / f"{self.name}.crt"

    @property
    def installed(self) -> bool:
        """Whether that link is there, or none is asked for."""
        link = self.link
        if link is None:
            return True
        return link.is_symlink() and Path(os.readlink(link)) == self.store.chain  # noqa: PTH115 - its text

    def files(self) -> Pair:
        """The pair that the spec names for a certificate of source files. Raises OpsError."""
        key, chain = (
            self.stack.folder / Path(path or "").expanduser()
            for path in (self.spec.private_key_file, self.spec.certificate_file)
        )
        return read_pair(key, chain)

    def renews_at(self, version: Version) -> datetime | None:
        """When `version` is to be renewed; None for files, which somebody else renews."""
        if self.spec.source == "files":
            return None
        return renewal_time(version.pair.leaf, _suggested(self.store.state, version))

    def due(self, *, force: bool = False) -> Due:
        """What it needs now; with `force` also a renewal that is not due. Raises OpsError when its files
        can't be read.
        """
        newest, state = self.store.newest(), self.store.state
        if self.spec.source == "files":
            pair = self.files()
            stored = newest.intact if newest is not None else None
            if newest is None or stored is None or (stored.key, stored.chain) != (pair.key, pair.chain):
                new = msg("the files are new") if newest else msg("the files had not been imported yet")
                return Due(Need.TAKE_OVER, new)
        else:
            why = self._why_new(newest, state) or ("--force" if force else "")
            if newest is None or why:
                first = newest is None or newest.origin.source != self.spec.source
                return Due(Need.ISSUE if first else Need.RENEW, why)
        at, live = self.renews_at(newest), self.store.live()
        if state.deployed != newest.number or live is None or live.number != newest.number:
            return Due(Need.DEPLOY, msg("version {number} was not in use yet", number=newest.number), at)
        if state.hooks_pending:
            return Due(Need.FINISH, msg("some deploy hooks had not run"), at)
        if not self.installed:
            return Due(Need.FINISH, msg("the link in install_to was missing"), at)
        return Due(Need.NOTHING, "", at)

    def _why_new(self, newest: Version | None, state: CertificateState) -> str:
        """Why the CA, or the stack's own, has to make another one."""
        now = self.stack.now()
        if self.spec.source == "acme":
            if newest is None or newest.origin.source != "acme":
                return msg("there was no certificate from the CA")
            if newest.origin.directory != self.spec.directory:
                return msg("the ACME directory changed")
            if state.revoked == newest.number:
                return msg("the certificate was revoked")
            return why_new(newest.intact, self.spec.names, now, suggested=_suggested(state, newest))
        if newest is None:
            return msg("there was no certificate")
        authority = known_authority(self.stack.topology.layout.certs / CA_FOLDER, now)
        if authority is None:
            return msg("the CA is new")
        return why_new(newest.intact, self.names, now, signed_by=authority.certificate)


def _suggested(state: CertificateState, version: Version) -> datetime | None:
    """When the CA wants `version` to be renewed, where it was asked about this very certificate."""
    pair = version.intact
    asked = pair is not None and state.suggested_serial == f"{pair.leaf.serial_number:x}"
    return state.suggested_at if asked else None


def certificates_of(stack: Stack, say: Callable[[str], None]) -> Certificates:
    """The certificates of `stack`, and the nginx that serves them; `say` gets the progress."""
    return Certificates(stack.topology, stack.runner, nginx_sites(stack, say), say=say)
