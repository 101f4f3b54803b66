"""Where a stack's secrets lie: none goes into the folder of the backups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.files import read_text
from techsapo_ops.adapters.written import read_manifest

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack


def secret_values(stack: Stack) -> tuple[bytes, ...]:
    """Every secret of the spec, also in fields that are not for secrets, and every one that the tool made."""
    from techsapo_ops.spec.redact import open_secrets, secrets_of
    from techsapo_ops.spec.source import parse

    values = [secret.reveal().encode() for secret in secrets_of(stack.spec).values()]
    file = stack.layout.spec_file
    written = parse(read_text(file, what="spec"), file.name).data if file.exists() else {}
    values += [value.encode() for value in sorted(open_secrets(stack.spec, written))]
    values += made_secrets(stack.layout.keys)
    return tuple(dict.fromkeys(value for value in values if value))


def made_secrets(keys: Path) -> list[bytes]:
    """The passwords that the tool made itself, in the folder `keys`."""
    if not keys.is_dir():
        return []
    return [p.read_bytes().strip() for p in keys.iterdir() if p.name.endswith("-password")]


def secret_paths(stack: Stack) -> list[Path]:
    """Files and folders that hold nothing but secrets, or are known to hold one."""
    from techsapo_ops.spec.redact import secrets_of

    layout = stack.layout
    found = [stack.directory / ".env", layout.keys, layout.secrets, layout.config / "docker" / "secrets"]
    found += [layout.acme]  # the keys of the accounts at CAs
    found += [layout.backup_keys]
    found += [
        stack.directory / Path(secret.file).expanduser()
        for secret in secrets_of(stack.spec).values()
        if secret.file is not None
    ]
    found += [
        layout.config / path for path, written in read_manifest(layout.config).files.items() if written.secret
    ]
    if layout.certs.is_dir():
        found += layout.certs.rglob("privkey.pem")
    return [path for path in dict.fromkeys(found) if path.exists()]
