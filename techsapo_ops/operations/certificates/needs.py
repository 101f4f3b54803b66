"""The certificates of a stack, and what each of them needs now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from techsapo_ops.adapters.process import Runner
from techsapo_ops.certs.checks import validity
from techsapo_ops.certs.material import Pair, canonical, names_of
from techsapo_ops.certs.policy import renewal_time
from techsapo_ops.certs.self_signed import CA_FOLDER, Authority, known_authority, local_authority, why_new
from techsapo_ops.certs.state import CertificateState
from techsapo_ops.certs.store import Store, Version, read_pair
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.certificates.deploy import Deployment, installed
from techsapo_ops.services.nginx.certificate import NginxSites, nginx_sites
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.edge import Certificate
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

    def kept(self, names: Sequence[str] = ()) -> Iterator[tuple[str, Certificate]]:
        """The certificates that are kept here, in the spec's order; `names` limits them.

        Raises OpsError for a name that is no certificate of this stack.
        """
        certificates = self.spec.certificates
        for name in names:
            if name not in certificates:
                known = [n for n, c in certificates.items() if c.source != "external"]
                raise unknown(msg("certificate"), name, known, hint=msg("describe it under `certificates`"))
            if certificates[name].source == "external":
                raise OpsError(msg("certificate {name} is served elsewhere", name=name), exit_code=2)
        for name, certificate in certificates.items():
            if certificate.source != "external" and (not names or name in names):
                yield name, certificate

    def store(self, name: str) -> Store:
        """Where certificate `name` is kept."""
        return Store(self.topology.layout.certs / name)

    def names(self, name: str) -> tuple[str, ...]:
        """The names that certificate `name` is made for."""
        certificate = self.spec.certificates[name]
        server = self.spec.nginx.server_name if self.serves(name) else None
        return certificate.names or ((server,) if server is not None else ("localhost",))

    def required(self, name: str) -> tuple[str, ...]:
        """The names that certificate `name` must be good for before it is served."""
        certificate = self.spec.certificates[name]
        server = self.spec.nginx.server_name if self.serves(name) else None
        return tuple(dict.fromkeys((*certificate.names, *((server,) if server is not None else ()))))

    def serves(self, name: str) -> bool:
        """Whether nginx serves certificate `name`."""
        return self.spec.served_certificate == name

    def authority(self) -> Authority:
        """The stack's own CA. Raises OpsError."""
        return local_authority(self.topology.layout.certs / CA_FOLDER, self.now())

    def files(self, name: str) -> Pair:
        """The pair that the spec names for a certificate of source files. Raises OpsError."""
        certificate = self.spec.certificates[name]
        key, chain = (
            self.folder / Path(path or "").expanduser()
            for path in (certificate.private_key_file, certificate.certificate_file)
        )
        return read_pair(key, chain)

    def deployment(self, name: str) -> Deployment:
        """What putting certificate `name` into use works with."""
        return Deployment(
            store=self.store(name),
            certificate=self.spec.certificates[name],
            names=self.required(name),
            site=self.site if self.serves(name) else None,
            runner=self.runner,
            folder=self.folder,
            now=self.now,
            say=self.say,
        )

    def due(self, name: str, *, force: bool = False) -> Due:
        """What certificate `name` needs now. Raises OpsError when its files can't be read."""
        store = self.store(name)
        newest, state = store.newest(), store.state
        source = self.spec.certificates[name].source
        if source == "files":
            pair = self.files(name)
            have = newest.intact if newest is not None else None
            if have is None or (have.key, have.chain) != (pair.key, pair.chain):
                return Due(
                    Need.TAKE_OVER, msg("its files are new") if newest else msg("it was not taken over yet")
                )
        else:
            why = (
                self._self_signed(name, newest)
                if source == "self-signed"
                else self._acme(name, newest, state)
            )
            if force and not why:
                why = "--force"
            if why:
                first = newest is None or newest.origin.source != source
                return Due(Need.ISSUE if first else Need.RENEW, why)
        if newest is None:
            raise OpsError(msg("certificate {name} has no version", name=name))
        at = renewal_time(newest.pair.leaf, suggested(state, newest)) if source != "files" else None
        live = store.live()
        if state.deployed != newest.number or live is None or live.number != newest.number:
            return Due(Need.DEPLOY, msg("version {number} was not in use yet", number=newest.number), at)
        if state.hooks == "pending":
            return Due(Need.FINISH, msg("its deploy hooks had not all run"), at)
        if not installed(self.deployment(name)):
            return Due(Need.FINISH, msg("its link in install_to was missing"), at)
        return Due(Need.NOTHING, "", at)

    def _self_signed(self, name: str, newest: Version | None) -> str:
        if newest is None:
            return msg("there was none")
        pair = newest.intact
        if pair is None:
            return msg("its files could not be read")
        authority = known_authority(self.topology.layout.certs / CA_FOLDER, self.now())
        if authority is None:
            return msg("its CA is new")
        return why_new(pair, self.names(name), authority, self.now())

    def _acme(self, name: str, newest: Version | None, state: CertificateState) -> str:
        certificate = self.spec.certificates[name]
        if newest is None or newest.origin.source != "acme":
            return msg("there was none from the CA")
        if newest.origin.directory != certificate.directory:
            return msg("the ACME directory changed")
        if state.revoked == newest.number:
            return msg("it was revoked")
        pair = newest.intact
        if pair is None:
            return msg("its files could not be read")
        leaf = pair.leaf
        if set(names_of(leaf)) != {canonical(n) for n in certificate.names}:
            return msg("the names changed")
        if leaf.not_valid_after_utc <= self.now():
            return validity(leaf, self.now())[0]
        wish = suggested(state, newest)
        if renewal_time(leaf, wish) > self.now():
            return ""
        if wish is not None and wish <= self.now():
            return msg("the CA asks for it")
        left = leaf.not_valid_after_utc - self.now()
        return msg(
            "{left:.0%} of its life is left",
            left=left / (leaf.not_valid_after_utc - leaf.not_valid_before_utc),
        )


def suggested(state: CertificateState, version: Version) -> datetime | None:
    """When the CA wants `version` to be renewed, where it was asked about this very certificate."""
    return state.suggested_at if state.suggested_serial == f"{version.pair.leaf.serial_number:x}" else None


def certificates_of(stack: Stack, say: Callable[[str], None]) -> Certificates:
    """The certificates of `stack`, and the nginx that serves them; `say` is told how the work goes."""
    return Certificates(stack.topology, stack.runner, nginx_sites(stack, say), say=say)
