"""Putting a stored certificate into use, as a transaction: it is served and seen, or the old one is back."""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.serialization import Encoding

from techsapo_ops.adapters.files import sync_directory
from techsapo_ops.adapters.process import Command, split_command
from techsapo_ops.certs.checks import require
from techsapo_ops.certs.needs import Managed
from techsapo_ops.certs.store import Version
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.nginx.certificate import NginxSites

_HOOK_SECONDS = 300.0


def deploy(certificate: Managed, version: Version) -> bool:
    """Put `version` into use and prove it; returns whether nginx was seen to serve it.

    It is checked, the link swapped, `nginx -t` run, nginx reloaded and the certificate read back over TLS.
    When any of that fails the version before is brought back the same way, and OpsError is raised. Where
    nginx does not run, it will find the certificate when it starts. Killed anywhere, the next call does the
    whole again: a version counts as deployed once it was seen. Hooks and `install_to` come last and only
    after a change; the new certificate stays when one of them fails, which is raised too.
    """
    store = certificate.store
    before = store.find(store.state.deployed) or store.live()
    require(version.pair, certificate.required, certificate.stack.now())
    store.activate(version)
    site = _running(certificate)
    reloaded = False
    try:
        if site is not None:
            site.check()
            reloaded = True
            site.reload()
            _confirm(site, certificate, version)
    except OpsError as error:
        after = _go_back(certificate, before, version, reloaded=reloaded)
        raise OpsError(
            msg(
                "certificate {store}: {message}\n{after}",
                store=certificate.name,
                message=error.message,
                after=after,
            ),
            error.hint,
        ) from None
    if store.state.deployed != version.number:
        note_deployed(certificate, version)
    finish(certificate)
    return site is not None


def note_deployed(certificate: Managed, version: Version) -> None:
    """Remember that `version` is in use, and that the deploy hooks still have to hear of it."""
    store, pending = certificate.store, bool(certificate.spec.deploy_hooks)
    store.remember(replace(store.state, deployed=version.number, hooks_pending=pending))


def finish(certificate: Managed) -> None:
    """What follows a deploy: the link of `install_to`, hooks that have not run yet, old versions removed.

    Raises OpsError for the first that fails, when all were tried.
    """
    failures = []
    for act in (_install, _run_hooks):
        try:
            act(certificate)
        except OpsError as error:
            failures.append(error)
    certificate.store.prune()
    if failures:
        raise failures[0]


def _install(certificate: Managed) -> None:
    """Keep the link NAME.crt in `install_to`. Raises OpsError where something else has that name."""
    link = certificate.link
    if link is None or certificate.installed:
        return
    try:
        if link.exists() and not link.is_symlink():
            raise OpsError(
                msg("{link} was not created by this stack, so it was left unchanged", link=link),
                msg("move it elsewhere, or choose another folder for `install_to`"),
            )
        link.parent.mkdir(parents=True, exist_ok=True)
        temporary = link.with_name(f".{link.name}.techsapo")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(certificate.store.chain)
        temporary.replace(link)
        sync_directory(link.parent)
    except OSError as error:
        raise OpsError(
            msg(
                "cannot link {link} to certificate {store}: {strerror}",
                link=link,
                store=certificate.name,
                strerror=error.strerror,
            ),
            msg("only root can write to system folders"),
        ) from None


def _run_hooks(certificate: Managed) -> None:
    """Run the deploy hooks where a change still waits for them; each is given the certificate's folder.

    Raises OpsError for the first that fails; the next `techsapo certs renew` runs them again.
    """
    store, stack = certificate.store, certificate.stack
    if not store.state.hooks_pending:
        return
    environment = {
        "TECHSAPO_CERTIFICATE": certificate.name,
        "TECHSAPO_CERTIFICATE_DIR": str(store.directory),
        "TECHSAPO_CERTIFICATE_NAMES": " ".join(certificate.required),
    }
    for hook in certificate.spec.deploy_hooks:
        argv = split_command(hook, f"certificates.{certificate.name}.deploy_hooks")
        stack.say(msg("running {hook}", hook=hook))
        done = stack.runner.run(Command(argv, environment, cwd=stack.folder), timeout=_HOOK_SECONDS)
        if done.code != 0:
            raise OpsError(
                msg(
                    "certificate {store} is in use, but its deploy hook `{hook}` failed with exit code "
                    "{code}: {output}",
                    store=certificate.name,
                    hook=hook,
                    code=done.code,
                    output=done.output[-500:] or msg("no output"),
                ),
                msg("`techsapo certs renew` runs the hook again"),
            )
    store.remember(replace(store.state, hooks_pending=False))


def _running(certificate: Managed) -> NginxSites | None:
    """The nginx that serves it, where it runs."""
    site = certificate.site
    if site is None or site.running():
        return site
    certificate.stack.say(
        msg("nginx is not running: it will load certificate {store} when it starts", store=certificate.name)
    )
    return None


def _confirm(site: NginxSites, certificate: Managed, version: Version) -> None:
    leaf = version.pair.leaf
    site.confirm(certificate.asked_name(leaf), leaf.public_bytes(Encoding.DER))


def _go_back(certificate: Managed, before: Version | None, failed: Version, *, reloaded: bool) -> str:
    """Bring `before` back; says in words what became of it. nginx is reloaded only where it was before."""
    if before is None or before.number == failed.number:
        return msg("there is no earlier version to roll back to")
    try:
        certificate.store.activate(before)
        if certificate.site is not None:
            if reloaded:
                certificate.site.reload()
            _confirm(certificate.site, certificate, before)
    except OpsError as error:
        return msg(
            "rolling back to version {number} failed too: {message}",
            number=before.number,
            message=error.message,
        )
    return msg("rolled back to version {number}", number=before.number)
