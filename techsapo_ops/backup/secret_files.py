"""Where a stack's secrets lie, and how they are written: none goes into the folder of the backups."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from techsapo_ops.adapters.files import read_text
from techsapo_ops.adapters.written import read_manifest

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack

SHORTEST = 4
"""Characters of a secret that is looked for: a shorter one stands in every file by chance."""


def secret_values(stack: Stack) -> tuple[bytes, ...]:
    """Every secret of the spec, also in fields that are not for secrets, and every one that the tool made."""
    from techsapo_ops.spec.logins import open_secrets
    from techsapo_ops.spec.redact import secrets_of
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


def forms(secret: str) -> Iterator[str]:
    """How a secret may be written, the longest first: in text, JSON, YAML, a shell's quotes, URLs, HTML, and
    where a sign is written twice (Compose, supervisord). Nothing for a secret that is shorter than SHORTEST.
    """
    if len(secret) < SHORTEST:
        return
    found = {repr(secret)[1:-1], quote_plus(secret), re.sub(r"([\"$\\`])", r"\\\1", secret)}
    for each in (secret, secret.replace("$", "$$"), secret.replace("%", "%%")):
        found |= {each, json.dumps(each)[1:-1], json.dumps(each, ensure_ascii=False)[1:-1]}
        found.add(each.replace("'", "''"))
    found |= {secret.replace("'", quoted) for quoted in ("'\"'\"'", "'\\''")}
    found |= {quote(secret, safe=safe) for safe in ("", "/")}
    for apostrophe, quotation in product(("&#x27;", "&#39;"), ("&quot;", "&#34;")):
        found.add(html.escape(secret, quote=False).replace("'", apostrophe).replace('"', quotation))
    yield from sorted(found, key=len, reverse=True)
