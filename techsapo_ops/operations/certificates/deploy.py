"""Putting a stored certificate into use, as a transaction: it is served and seen, or the old one is back."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.serialization import Encoding

from techsapo_ops.adapters.files import sync_directory
from techsapo_ops.adapters.process import Command, Runner, split_command
from techsapo_ops.certs.checks import require
from techsapo_ops.certs.material import names_of
from techsapo_ops.certs.state import CertificateState, Hooks
from techsapo_ops.certs.store import Store, Version
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.edge import Certificate

_HOOK_SECONDS = 300.0


class Site(Protocol):
    """The server that a certificate is for; see NginxSites."""

    def running(self) -> bool:
        """Whether it runs now."""
        ...

    def check(self) -> None:
        """Let it check its files, the new certificate's among them. Raises OpsError."""
        ...

    def reload(self) -> None:
        """Make it read its files anew. Raises OpsError."""
        ...

    def confirm(self, name: str | None, wanted: bytes) -> None:
        """See that `wanted` (DER) is what a client asking for `name` gets. Raises OpsError."""
        ...


@dataclass(frozen=True)
class Deployment:
    """What one deploy works with. `names` are those that the certificate must be good for."""

    store: Store
    certificate: Certificate
    names: tuple[str, ...]
    site: Site | None
    """None where nginx does not serve this certificate."""
    runner: Runner
    folder: Path
    """The project's: where hooks run and relative paths begin."""
    now: Callable[[], datetime]
    say: Callable[[str], None]


def deploy(work: Deployment, version: Version) -> bool:
    """Put `version` into use and prove it; returns whether nginx was seen to serve it.

    It is checked, the link swapped, `nginx -t` run, nginx reloaded and the certificate read back over TLS.
    When any of that fails the version before is brought back the same way, and OpsError is raised. Where
    nginx does not run, it will find the certificate when it starts. Killed anywhere, the next call does the
    whole again: a version counts as deployed once it was seen. Hooks and `install_to` come last and only
    after a change; the new certificate stays when one of them fails, which is raised too.
    """
    store, state = work.store, work.store.state
    before = store.find(state.deployed) or store.live()
    require(version.pair, work.names, work.now())
    store.activate(version)
    told = False
    served = work.site is not None and _runs(work.site, work)
    try:
        if work.site is not None and served:
            work.site.check()
            told = True
            work.site.reload()
            _confirm(work.site, work, version)
    except OpsError as error:
        after = _go_back(work, before, version, told=told)
        raise OpsError(
            msg(
                "certificate {store}: {message}\n{after}",
                store=store.name,
                message=error.message,
                after=after,
            ),
            error.hint,
        ) from None
    if state.deployed != version.number:
        store.remember(in_use(state, version, work.certificate, work.now()))
    finish(work)
    return served


def in_use(
    state: CertificateState, version: Version, certificate: Certificate, now: datetime
) -> CertificateState:
    """`state` with `version` in use, which the hooks still have to be told of."""
    hooks: Hooks = "pending" if certificate.deploy_hooks else "none"
    return replace(state, deployed=version.number, deployed_at=now, hooks=hooks)


def finish(work: Deployment) -> None:
    """What follows a deploy: the link of `install_to`, hooks that have not run yet, old versions removed.

    Raises OpsError for the first that fails, when all were tried.
    """
    failures = []
    for act in (install, run_hooks):
        try:
            act(work)
        except OpsError as error:
            failures.append(error)
    work.store.prune()
    if failures:
        raise failures[0]


def installed(work: Deployment) -> bool:
    """Whether the link that `install_to` asks for is there, or none is asked for."""
    if work.certificate.install_to is None:
        return True
    link = _link(work)
    return link.is_symlink() and Path(os.readlink(link)) == work.store.chain  # noqa: PTH115 - the link's text


def install(work: Deployment) -> None:
    """Keep the link NAME.crt in `install_to`. Raises OpsError where something else has that name."""
    if installed(work):
        return
    link = _link(work)
    try:
        if link.exists() and not link.is_symlink():
            raise OpsError(
                msg("{link} is a file of someone else's and stays", link=link),
                msg("move it away, or choose another folder for `install_to`"),
            )
        link.parent.mkdir(parents=True, exist_ok=True)
        temporary = link.with_name(f".{link.name}.techsapo")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(work.store.chain)
        temporary.replace(link)
        sync_directory(link.parent)
    except OSError as error:
        raise OpsError(
            msg(
                "cannot link {link} to certificate {store}: {strerror}",
                link=link,
                store=work.store.name,
                strerror=error.strerror,
            ),
            msg("only root may write in the system's folders"),
        ) from None


def _link(work: Deployment) -> Path:
    folder = Path(work.certificate.install_to or "").expanduser()
    return work.folder / folder / f"{work.store.name}.crt"


def run_hooks(work: Deployment) -> None:
    """Run the deploy hooks where a change still waits for them; each is given the certificate's folder.

    Raises OpsError for the first that fails; the next `techsapo certs renew` runs them again.
    """
    state = work.store.state
    if state.hooks != "pending":
        return
    environment = {
        "TECHSAPO_CERTIFICATE": work.store.name,
        "TECHSAPO_CERTIFICATE_DIR": str(work.store.directory),
        "TECHSAPO_CERTIFICATE_NAMES": " ".join(work.names),
    }
    for hook in work.certificate.deploy_hooks:
        argv = split_command(hook, f"certificates.{work.store.name}.deploy_hooks")
        work.say(msg("running {hook}", hook=hook))
        done = work.runner.run(Command(argv, environment, cwd=work.folder), timeout=_HOOK_SECONDS)
        if done.code != 0:
            raise OpsError(
                msg(
                    "certificate {store} is in use, but its deploy hook `{hook}` ended with {code}: {output}",
                    store=work.store.name,
                    hook=hook,
                    code=done.code,
                    output=done.output[-500:] or msg("it said nothing"),
                ),
                msg("`techsapo certs renew` runs it again"),
            )
    work.store.remember(replace(state, hooks="done"))


def _runs(site: Site, work: Deployment) -> bool:
    if site.running():
        return True
    work.say(msg("nginx does not run: it takes certificate {store} when it starts", store=work.store.name))
    return False


def _confirm(site: Site, work: Deployment, version: Version) -> None:
    site.confirm(_asked_name(work.names, version), version.pair.leaf.public_bytes(Encoding.DER))


def _go_back(work: Deployment, before: Version | None, failed: Version, *, told: bool) -> str:
    """Bring `before` back; says in words what became of it. nginx is only bothered where it was `told`."""
    if before is None or before.number == failed.number:
        return msg("there is no earlier version to go back to")
    try:
        work.store.activate(before)
        if work.site is not None:
            if told:
                work.site.reload()
            _confirm(work.site, work, before)
    except OpsError as error:
        return msg(
            "and going back to version {number} failed too: {message}",
            number=before.number,
            message=error.message,
        )
    return msg("went back to version {number}", number=before.number)


def _asked_name(names: Sequence[str], version: Version) -> str | None:
    """A name for which a client may ask; a wildcard stands for one."""
    for name in (*names, *names_of(version.pair.leaf)):
        return name.replace("*", "www", 1)
    return None
