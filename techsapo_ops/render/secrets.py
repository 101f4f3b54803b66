"""Secrets as files, each readable by the one service that needs it."""

from __future__ import annotations

from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.spec.redact import secrets_of
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.secrets import secret_file, secret_name
from techsapo_ops.stack.topology import Topology


def reader_of(path: str) -> str | None:
    """Kind of service that reads the secret at a dotted spec path; None: the tool alone."""
    for kind in kinds():
        if any(path == prefix or path.startswith(f"{prefix}.") for prefix in kind.secrets):
            return kind.name
    return None


def secret_files(topology: Topology) -> tuple[RenderedFile, ...]:
    """One file below secrets/ for each secret that a service of `topology` reads, mode 0600.

    Some kinds read theirs in formats of their own. Raises OpsError for a secret that one can't be given.
    """
    files = [
        secret_file(secret_name(path), secret.reveal(), owner)
        for path, secret in secrets_of(topology.spec).items()
        if (owner := reader_of(path)) is not None and topology.has(owner)
    ]
    for name in dict.fromkeys(service.kind for service in topology.services):
        files += kind_of(name).secret_files(topology)
    return tuple(sorted(files, key=lambda file: file.path))
