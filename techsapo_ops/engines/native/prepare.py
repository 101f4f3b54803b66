"""What services need before any of them can start."""

from __future__ import annotations

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.folders import keep_out_of_git
from techsapo_ops.adapters.process import Runner
from techsapo_ops.adapters.trusted_users import owned_by_others
from techsapo_ops.engines.native.members import members_folder
from techsapo_ops.services.runtime import runtime_of
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.layout import ACME_ROOT, Layout
from techsapo_ops.stack.own_tls import own_tls
from techsapo_ops.stack.topology import Topology


def folders(layout: Layout) -> None:
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


def data(desired: Desired) -> None:
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


def kinds(topology: Topology, runner: Runner) -> None:
    """What each kind needs besides: databases, who owns a key. Raises OpsError."""
    for kind in dict.fromkeys(service.kind for service in topology.services):
        runtime_of(kind).prepare(topology, runner)
    for service in topology.services:
        tls = own_tls(topology, service)
        if tls is not None and tls.key.exists():
            owners.give(tls.key, service.user)
