"""What a certificate's deploy needs of nginx: check, reload, and what it really serves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.files import let_read
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.tls import served_certificate
from techsapo_ops.adapters.unreachable import lacking
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.nginx.kind import Nginx
from techsapo_ops.services.nginx.runtime import RUNTIME
from techsapo_ops.services.nginx.site import NGINX_CONF
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.layout import ACME_ROOT
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.step import Action, Step
from techsapo_ops.stack.topology import Topology

_HANDSHAKE_SECONDS = 5.0
_PATIENCE = 5.0
_PAUSE = 0.005
_STEADY = 8
_CHECK_SECONDS = 30.0


@dataclass(frozen=True)
class NginxSite:
    """nginx of a stack, as a process or in its container."""

    stack: Stack
    service: Service

    @property
    def address(self) -> Address:
        """Where it speaks TLS, as this host reaches it."""
        topology = self.stack.topology
        return Address(topology.address(self.service, Viewpoint.HOST).host, topology.spec.nginx.tls_listen)

    @property
    def url(self) -> str:
        """Where it speaks plain HTTP, as this host reaches it."""
        return self.stack.topology.address(self.service, Viewpoint.HOST).url()

    @property
    def challenges(self) -> Path:
        """The folder whose files answer http-01, as nginx sees it."""
        return self.stack.topology.data_dir(self.service) / ACME_ROOT

    def run(self, command: Command) -> Completed:
        """Run a command as nginx, where nginx is. Raises OpsError when it does not run."""
        return self.stack.runner.run(self.stack.engine.enter(self.service.name, command))

    def check(self) -> None:
        """`nginx -t` on the files that it would read. Raises OpsError with nginx's own words."""
        topology, service = self.stack.topology, self.service
        if topology.places.from_images:
            # The container's user may not read a new key yet; a reload sees to that, but this comes before.
            for key in RUNTIME.readable(topology) if topology.places.mounts_folders else ():
                let_read(key, [service.facts.uid])
            config = topology.config_dir() / NGINX_CONF
            prefix = str(topology.data_dir(service))
            done = self.run(Command(("nginx", "-p", prefix, "-c", str(config), "-e", "stderr", "-t")))
        else:
            # As its master, which may read the key, and not as `run`: that is the workers' user.
            program = kind_of(service).program(topology, service)
            command = Command((*program.argv, "-t"), cwd=program.directory)
            done = self.stack.runner.run(command, timeout=_CHECK_SECONDS)
        if done.code != 0:
            raise OpsError(msg("nginx -t refuses the certificate: {output}", output=done.output[-800:]))

    def reload(self) -> None:
        """Make it read its files anew. Raises OpsError."""
        Step(Action.RELOAD, self.service.name, msg("a new certificate")).perform(self.stack.engine)

    def served(self, name: str | None) -> bytes:
        """The certificate (DER) that a client asking for `name` is shown. Raises OpsError."""
        return served_certificate(self.address, name, timeout=_HANDSHAKE_SECONDS)

    def confirm(self, name: str | None, wanted: bytes) -> None:
        """Wait until `wanted` (DER) is what clients asking for `name` get. Raises OpsError.

        Several handshakes in a row have to show it: after a reload, nginx leaves its old workers accepting
        for 100 ms beside the new ones, and while all are idle it is an old one that takes a connection.
        """
        deadline = time.monotonic() + _PATIENCE
        steady = 0
        while steady < _STEADY:
            trouble = msg("nginx still serves another certificate")
            try:
                steady = steady + 1 if self.served(name) == wanted else 0
            except OpsError as error:
                steady, trouble = 0, error.message
            if steady == 0 and time.monotonic() >= deadline:
                raise OpsError(
                    msg(
                        "reading the certificate back from {address}: {trouble}",
                        address=self.address,
                        trouble=trouble,
                    )
                )
            time.sleep(_PAUSE)


@dataclass(frozen=True)
class NginxSites:
    """nginx here, or on each of several machines: what is asked of it is asked of each that runs."""

    sites: tuple[NginxSite, ...]
    say: Callable[[str], None]

    def there(self) -> tuple[NginxSite, ...]:
        """Those that run now; a machine that can't be reached has none."""
        observed = self.sites[0].stack.engine.observe()
        runs = {name for name, seen in observed.services.items() if seen.state.runs}
        return tuple(site for site in self.sites if observed.running and site.service.name in runs)

    def running(self) -> bool:
        """Whether any runs now."""
        return bool(self.there())

    def check(self) -> None:
        """Bring the files to the machines, and let each nginx check them. Raises OpsError, with its name.

        Machines that are away, and so go on with the certificate that they have, are told of.
        """
        if words := lacking(self.sites[0].stack.engine.deliver()):
            self.say(words)
        self._each(lambda site: site.check())

    def reload(self) -> None:
        """Make each read its files anew, as they are here now. Raises OpsError."""
        self.sites[0].stack.engine.deliver()
        self._each(lambda site: site.reload())

    def served(self, name: str | None) -> bytes:
        """The certificate (DER) that clients asking for `name` are shown. Raises OpsError, also where two
        machines show different ones.
        """
        shown = {site.service.name: site.served(name) for site in self._running()}
        first, *others = shown
        odd = next((other for other in others if shown[other] != shown[first]), None)
        if odd is not None:
            raise OpsError(
                msg("{first} and {other} serve different certificates", first=first, other=odd),
                msg("`techsapo certs deploy` installs the stored certificate on all hosts"),
            )
        return shown[first]

    def confirm(self, name: str | None, wanted: bytes) -> None:
        """Wait until each shows `wanted` (DER). Raises OpsError, with its name."""
        self._each(lambda site: site.confirm(name, wanted))

    def _each(self, act: Callable[[NginxSite], None]) -> None:
        for site in self._running():
            try:
                act(site)
            except OpsError as error:
                if len(self.sites) == 1:
                    raise
                raise OpsError(
                    msg("{name}: {message}", name=site.service.name, message=error.message), error.hint
                ) from None

    def _running(self) -> tuple[NginxSite, ...]:
        """Those that run now, at least one. Raises OpsError where none does: nothing was seen then."""
        there = self.there()
        if not there:
            raise OpsError(msg("nginx is not running on any host"))
        return there


def nginx_sites(stack: Stack, say: Callable[[str], None]) -> NginxSites | None:
    """nginx of the stack; None for a stack without one. `say` is told what one of several machines lacks."""
    sites = tuple(NginxSite(stack, service) for service in stack.topology.of_kind(Nginx.facts.kind))
    return NginxSites(sites, say) if sites else None


def tls_address(topology: Topology) -> Address | None:
    """Where this host reaches the stack's nginx by TLS, of several machines the first one's; None for a stack
    without nginx.
    """
    service = next(iter(topology.of_kind(Nginx.facts.kind)), None)
    if service is None:
        return None
    return Address(topology.address(service, Viewpoint.HOST).host, topology.spec.nginx.tls_listen)
