"""The native engine: services as processes of this host under supervisord."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from typing_extensions import override

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.folders import keep_out_of_git
from techsapo_ops.adapters.held import Holder, is_free, port_holder
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.adapters.process import Runner
from techsapo_ops.adapters.trusted_users import owned_by_others
from techsapo_ops.engines import planning
from techsapo_ops.engines.native import daemon, gate, logs, processes
from techsapo_ops.engines.native.access import NativeAccess
from techsapo_ops.engines.native.processes import members_folder
from techsapo_ops.engines.native.recorded import STOP_MARGIN, STOP_SECONDS
from techsapo_ops.engines.state import Record
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.probing import ask, forget_sign_of_life
from techsapo_ops.services.registry import kind_of
from techsapo_ops.services.runtime import before_steps, runtime_of
from techsapo_ops.stack.address import listen_host
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.desired import Desired, Program
from techsapo_ops.stack.engine import Engine, Mismatch
from techsapo_ops.stack.layout import ACME_ROOT, Layout
from techsapo_ops.stack.observed import Observed
from techsapo_ops.stack.own_tls import own_tls
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.step import Action, Plan, Step
from techsapo_ops.stack.topology import Topology

CONFIGURATION = "supervisor/supervisord.conf"
HOUSEKEEPING = "housekeeping"
"""The program beside the services, which starts by itself."""


class NativeEngine(NativeAccess, Engine):
    """Runs `topology`; see stack.engine.Engine for what each method promises.

    `environment` is the tool's own: of it, services get what `daemon.service_environment` passes on.
    `seconds` overrides how long a service may take to become ready.
    """

    def __init__(
        self,
        topology: Topology,
        runner: Runner,
        environment: Mapping[str, str],
        *,
        seconds: float | None = None,
    ) -> None:
        super().__init__(topology, runner, environment)
        self._seconds = seconds

    @override
    def plan(self, desired: Desired, observed: Observed, only: Sequence[str] = ()) -> Plan:
        return planning.plan(desired, observed, only)

    @override
    def prepare(self, desired: Desired) -> None:
        """Folders, owners, keys and databases; then a supervisor that has read the present configuration.

        The files of `desired` are written already.
        """
        make_folders(self.layout)
        make_data_folders(desired)
        prepare_kinds(desired.topology, self._runner)
        before_steps(desired, self._door)
        if not self.supervisor.answers():
            daemon.start(self.layout, self.layout.config / CONFIGURATION, self._environment)
            return
        changed = self.supervisor.reread()
        if HOUSEKEEPING in changed:
            self.supervisor.stop(HOUSEKEEPING, within=STOP_SECONDS + STOP_MARGIN)
            self.supervisor.remove(HOUSEKEEPING)
            self.supervisor.add(HOUSEKEEPING)

    @override
    def perform(
        self, step: Step, desired: Desired | None, say: Callable[[str], None], together: Sequence[Step] = ()
    ) -> None:
        if step.action is Action.REMOVE:
            self._remove(step.service)
        elif desired is not None:
            self._apply(step, desired, say)
        elif step.action is Action.RELOAD:
            self._reload(step.service)
        else:
            self._restart(step.service)

    def _apply(self, step: Step, desired: Desired, say: Callable[[str], None]) -> None:
        program = desired.programs[step.service]
        service = next(s for s in desired.topology.services if s.name == step.service)
        log = self._log(service.name)
        size = log.stat().st_size if log.exists() else 0
        record = _record(program, service, desired)
        if step.action is Action.NOTHING:
            self._gate(service, 0)
            return
        if step.action is Action.RELOAD:
            before = self.state.load()[service.name]
            record = replace(record, since=before.since)
            if before.port != service.port:
                self._free_port(service)  # a taken port is a sentence here, and a time-out after the reload
        self.state.put(replace(record, pending=True))
        if step.action is Action.RELOAD and program.reload_signal is not None:
            self.supervisor.signal(service.name, program.reload_signal)
        else:
            self._start_anew(service, program.stop_seconds)
        say(msg("waiting for {service}", service=service.name))
        self._gate(service, size)
        self.state.settle(service.name)

    def _door(self, service: Service) -> Door | None:
        """The way to `service` for its own client; None where it does not run."""
        process = self.supervisor.process(service.name) if self.supervisor.answers() else None
        if process is None or process.pid is None:
            return None
        return Door(self._runner, lambda command: self.enter(service.name, command))

    def _start_anew(self, service: Service, stop_seconds: float) -> None:
        self._stop_to_start(service, stop_seconds)
        self.supervisor.remove(service.name)
        self._free_port(service)
        forget_sign_of_life(service, self.layout)
        self.supervisor.reread()
        self.supervisor.add(service.name)
        self.supervisor.start(service.name)

    def _stop_to_start(self, service: Service, stop_seconds: float) -> None:
        self.supervisor.stop(
            service.name, within=stop_seconds + STOP_MARGIN, term_after=kind_of(service).restart_seconds
        )

    def _free_port(self, service: Service) -> None:
        host = listen_host(service.host)
        holder = None if is_free(host, service.port) else port_holder(service.port)
        if holder is None:
            return
        neighbour = self._service_of(holder)
        if neighbour is None:
            raise OpsError(
                msg(
                    "{service} can't use port {port}: {holder} is listening on it",
                    service=service.name,
                    port=service.port,
                    holder=holder,
                ),
                msg("stop that process, or give the service another port in the spec"),
            )
        # Two services changed ports: the one that still holds this one is started anew later in the plan.
        self.supervisor.stop(neighbour, within=self.state.load()[neighbour].stop_seconds + STOP_MARGIN)

    def _service_of(self, holder: Holder) -> str | None:
        if holder.pid is None:
            return None
        import psutil

        try:
            process = psutil.Process(holder.pid)
            family = {holder.pid, *(p.pid for p in process.parents())}
        except psutil.NoSuchProcess:
            return None
        return next((name for name, p in self.supervisor.processes().items() if p.pid in family), None)

    def _remove(self, name: str) -> None:
        record = self.state.load()[name]
        self.supervisor.stop(name, within=record.stop_seconds + STOP_MARGIN)
        self.supervisor.remove(name)
        self.state.drop(name)

    def _gate(self, service: Service, log_from: int) -> None:
        gate.wait_ready(
            service.name,
            probe=lambda timeout: self._probe(service, timeout),
            process=lambda: self.supervisor.process(service.name),
            exits=lambda: self._exits(service.name),
            log=gate.LogFrom(self._log(service.name), log_from),
            seconds=self._seconds or kind_of(service).deadline,
        )

    def _probe(self, service: Service, timeout: float) -> ProbeResult:
        return ask(self.topology, service, timeout)

    @override
    def prober_inside(self) -> Callable[[Service, float], ProbeResult]:
        """This host reaches all of them."""
        return self._probe

    def _exits(self, name: str) -> int:
        record = self.state.load().get(name)
        ended = logs.exits(self.layout.logs / "supervisord.log").get(name, [])
        return len(logs.exits_after(ended, record.since if record else 0.0))

    def _log(self, name: str) -> Path:
        return self.layout.logs / f"{name}.log"

    @override
    def discard(self, images: Collection[str]) -> None:
        """Processes come from no image."""

    def _restart(self, service: str) -> None:
        """Start `service` with what it was started with last."""
        record = self._record(service)
        wanted = next((s for s in self.topology.services if s.name == service), None)
        if wanted is None:
            raise OpsError(
                msg("{service} is no longer in the spec", service=service),
                msg("`techsapo up` removes the service"),
            )
        log = self._log(service)
        size = log.stat().st_size if log.exists() else 0
        try:
            self._stop_to_start(wanted, record.stop_seconds)
            self.state.put(replace(record, since=time.time()))
            self._free_port(wanted)
            self.supervisor.start(service)
        except KeyboardInterrupt:  # it would stay stopped, and nobody would start it again
            self._stop_to_start(wanted, record.stop_seconds)
            self.supervisor.start(service)
            raise
        self._gate(wanted, size)
        self.state.settle(service)

    def _reload(self, service: str) -> None:
        """Make `service` read its configuration again and wait until it is ready; else restart it.

        Raises OpsError where it refuses it.
        """
        from techsapo_ops.engines.readback import reload_and_confirm

        self._record(service)
        wanted = next((s for s in self.topology.services if s.name == service), None)
        if wanted is None or wanted.facts.reload is None:
            self._restart(service)
            return
        log = self._log(service)
        size = log.stat().st_size if log.exists() else 0
        reload_and_confirm(
            self.topology, wanted, partial(self.supervisor.signal, service, wanted.facts.reload)
        )
        self._gate(wanted, size)

    @override
    def prove(
        self, desired: Desired, services: Sequence[str], wait: float = 0.0, *, strangers: bool = False
    ) -> tuple[Mismatch, ...]:
        from techsapo_ops.engines.readback import with_loaded

        differing = with_loaded(
            processes.mismatches(desired, services, self.supervisor), desired, services, wait
        )
        odd = processes.strangers(self.layout, self.supervisor) if strangers else ()
        return (*differing, *(Mismatch("", words) for words in odd))


def _record(program: Program, service: Service, desired: Desired) -> Record:
    return Record(
        name=service.name,
        kind=service.kind,
        host=service.host,
        port=service.port,
        user=program.user,
        needs=service.needs,
        stop_seconds=program.stop_seconds,
        fingerprint=program.fingerprint,
        config=program.config_digest(desired.files),
        files=planning.file_digests(program, desired.files),
        since=time.time(),
    )


def make_folders(layout: Layout) -> None:
    """The folders of the stack itself; services may pass through them, not write."""
    for path in (layout.state, layout.config, layout.run, layout.data, layout.textfiles, layout.certs):
        owners.folder(path, 0o755)
    owners.folder(layout.logs, 0o750)
    owners.folder(layout.keys, 0o711)
    if layout.socket_dir != layout.run:
        owners.private_folder(layout.socket_dir)
    # Whoever may open a member file could hold it, or hand it to a process of somebody else's.
    owners.folder(members_folder(layout.run), 0o700)
    keep_out_of_git(layout.state)


def make_data_folders(desired: Desired) -> None:
    """Each program's own folder, owned by the service's user, and the owners of rendered files.

    nginx keeps root for its master, so its folder is root's, and what its workers need is below that.
    """
    topology = desired.topology
    users = {service.name: service.user for service in topology.services}
    for program in desired.programs.values():
        if not program.directory.is_relative_to(topology.layout.data):
            continue
        user = users.get(program.service)
        if program.user is None and user is not None:
            owners.masters_folder(program.directory)
            owners.data_folder(program.directory / ACME_ROOT, user)
        else:
            # One that another user began is taken from that user also where its service runs as root.
            others = user is None and owned_by_others(program.directory)
            owners.data_folder(program.directory, "root" if others else user)
    by_kind = {service.kind: service.user for service in topology.services}
    for file in desired.files:
        path = topology.layout.config / file.path
        if file.owner is not None and by_kind.get(file.owner) is not None and path.exists():
            owners.give(path, by_kind[file.owner])


def prepare_kinds(topology: Topology, runner: Runner) -> None:
    """What each kind needs besides: databases, who owns a key. Raises OpsError."""
    for kind in dict.fromkeys(service.kind for service in topology.services):
        runtime_of(kind).prepare(topology, runner)
    for service in topology.services:
        tls = own_tls(topology, service)
        if tls is not None and tls.key.exists():
            owners.give(tls.key, service.user)
