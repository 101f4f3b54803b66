"""Certificates that nginx must find when it starts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.edge import Certificate
from techsapo_ops.spec.topology import Topology


def ensure_certificates(spec: Spec, topology: Topology) -> str:
    """See to it that every certificate of nginx is there; returns why one was written, or "".

    `self-signed` is made and renewed here, `files` are taken over from where the spec says, relative to the
    spec's folder. Until a first order has succeeded, `acme` has a self-signed stand-in.
    """
    if not topology.has("nginx"):
        return ""
    reasons = [
        _ensure(spec, name, certificate, topology)
        for name, certificate in spec.certificates.items()
        if certificate.source != "external"
    ]
    return "; ".join(reason for reason in reasons if reason)


def _ensure(spec: Spec, name: str, certificate: Certificate, topology: Topology) -> str:
    from techsapo_ops.certs.self_signed import CHAIN, KEY, ensure

    folder = topology.layout.certs / name
    if certificate.source == "files":
        return _take_over(name, certificate, folder, topology.layout.spec_file.parent)
    if certificate.source == "acme" and (folder / CHAIN).exists() and (folder / KEY).exists():
        return ""
    names = certificate.names or ((spec.nginx.server_name,) if spec.nginx.server_name else ("localhost",))
    made = ensure(folder, names, key_type=certificate.key_type, now=datetime.now(UTC))
    return f"certificate {name}: {made.reason}" if made.changed else ""


def _take_over(name: str, certificate: Certificate, folder: Path, base: Path) -> str:
    from techsapo_ops.certs.self_signed import CHAIN, KEY

    changed = ""
    for source, target, mode in (
        (certificate.private_key_file, folder / KEY, 0o600),
        (certificate.certificate_file, folder / CHAIN, 0o644),
    ):
        if source is None:
            raise OpsError(f"certificates.{name}: source files needs certificate_file and private_key_file")
        path = base / Path(source).expanduser()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise OpsError(f"certificates.{name}: cannot read {path}: {error.strerror}") from None
        if not target.exists() or target.read_bytes() != content:
            write_atomic(target, content, mode)
            changed = f"certificate {name}: {path.name} is new"
    return changed
