"""The service of a stack that is placed: started, with its data and certificates, and asked how it is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

from techsapo_ops.apply.outcome import Listener
from techsapo_ops.apply.up import up
from techsapo_ops.backup.repository.description import What
from techsapo_ops.backup.restore.copied import Copied
from techsapo_ops.backup.restore.intent import intend
from techsapo_ops.backup.restore.run import perform
from techsapo_ops.certs.needs import certificates_of
from techsapo_ops.certs.renew import renew
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.app.rendered_spec import keys_owner
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.health.check import check

LOCK_SECONDS = 60.0
"""How long a step waits for whoever holds a lock."""
_HEALTH_SECONDS = 90
_HOSTS_HEALTH_SECONDS = 240
"""On several hosts a member of a cluster may still copy all of the data."""
_PROBE_SECONDS = 5.0

Say = Callable[[str], None]


def start(stack: Stack, listener: Listener, say: Say) -> None:
    """Start everything. Raises OpsError where a service does not come up."""
    owner = keys_owner(stack.topology)
    keys = stack.layout.api_keys
    if owner is not None and keys.exists():
        os.chown(keys, *owner, follow_symlinks=False)
    say(msg("starting the stack"))
    report = up(stack, listener, wait=LOCK_SECONDS)
    if report is not None and report.failures:
        said = joined(
            "; ",
            (
                msg("{service}: {message}", service=o.step.service, message=o.error.message)
                for o in report.failures
                if o.error is not None
            ),
        )
        raise OpsError(
            msg("not every service started: {said}", said=said),
            msg("`techsapo logs` shows why; then run the same command again"),
        )


def fill(stack: Stack, copied: Copied, names: tuple[str, ...], say: Say) -> None:
    """Bring the kinds of data back that `names` names, and compare them. Raises OpsError."""
    if not names:
        say(msg("there is no data to restore"))
        return
    intent = intend(stack, copied.backup.id, names, copies=copied.of(What.COPIES))
    perform(stack, intent, wait=LOCK_SECONDS, aside=False, say=say)


def certify(stack: Stack, say: Say) -> list[tuple[str, str]]:
    """Put the certificates into use, or have them issued; returns what did not work, and what to try."""
    certificates = certificates_of(stack, say)
    if not list(certificates.managed()):
        return []
    return [
        (each.error.message, each.error.hint or f"techsapo certs renew {each.name}")
        for each in renew(certificates, wait=LOCK_SECONDS)
        if each.error is not None
    ]


def settled(stack: Stack) -> str:
    """Its health, once it is healthy or has had time enough."""
    deadline = time.monotonic() + (
        _HOSTS_HEALTH_SECONDS if stack.topology.places.shares_data else _HEALTH_SECONDS
    )
    while True:
        report = check(stack, timeout=_PROBE_SECONDS, now=datetime.now(UTC))
        if report.status.value == "healthy" or time.monotonic() > deadline:
            return report.status.value
        stack.pause(1.0)
