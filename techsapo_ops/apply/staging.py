"""A throwaway copy of the rendered files that validators can follow without touching the real state."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from techsapo_ops.certs.self_signed import ensure
from techsapo_ops.render.stack import render_stack
from techsapo_ops.services.registry import kinds_in
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology
from techsapo_ops.validators.check import Staging

_PREFIX = "techsapo-check-"
_STALE_SECONDS = 3600
_UPSTREAM_HOST = re.compile(r"^(\s*server )[a-z0-9-]+(:\d+ weight=)", re.MULTILINE)
_CHECKED_WITH_SECRETS = ("/alertmanager.yml", "/sign-in.conf")
"""Configuration that holds secrets itself: a placeholder would be refused."""
_CONTAINER_CONFIG, _CONTAINER_SECRETS = "/etc/techsapo/", "/run/secrets/"


@contextmanager
def staged(topology: Topology, templates: Templates) -> Iterator[Staging]:
    """The stack rendered for a temporary folder, so that every path in its files exists there.

    The real folders are rebuilt below it name by name: whatever in them could break a file breaks the
    copy. Secrets are placeholders, but for a configuration that amtool reads, certificates are made for
    the moment, and the containers' paths lead into the folder too. It is private and removed at the end.
    """
    _sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        root = Path(name).resolve()
        real = topology.layout
        config, secrets = (f"{topology.places.container_files}{each}" for each in ("config/", "secrets/"))
        layout = replace(real, state=_moved(root, real.state), config=_moved(root, real.config))
        staged_topology = topology.relocated(layout)
        for made in _made_secrets(staged_topology, secrets):
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_text("placeholder", encoding="utf-8")
        for file in render_stack(staged_topology, templates):
            path = layout.config / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_content(file, root, config), encoding="utf-8")
        if topology.spec.served_certificate is not None:
            for certs in (layout.certs, layout.config / config / "certs"):
                ensure(certs / topology.spec.served_certificate, ["staging.invalid"], now=datetime.now(UTC))
        prefix = root / "prefix"
        for folder in (prefix, layout.logs / "pm2", layout.run):
            folder.mkdir(parents=True, exist_ok=True)
        # Short plain names: the containers' paths have these in their places.
        (root / "etc-techsapo").symlink_to(layout.config / config)
        (root / "run-secrets").symlink_to(layout.config / secrets)
        yield Staging(layout.config, prefix, str(root))


def _made_secrets(topology: Topology, secrets: str) -> Iterator[Path]:
    """Where processes and containers find the secrets that the tool makes: promtool wants the files."""
    for kind in kinds_in(topology):
        for name, path in kind.made_secrets(topology).items():
            yield path
            yield topology.layout.config / secrets / name


def _sweep(parent: Path) -> None:
    """Remove what a killed run left an hour ago or more; nothing of another user."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):  # another run sweeps too
            facts = folder.lstat()
            mine = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()
            if mine and time.time() - facts.st_mtime > _STALE_SECONDS:
                shutil.rmtree(folder)


def _moved(root: Path, folder: Path) -> Path:
    return root / "host" / folder.absolute().relative_to("/")


def _content(file: RenderedFile, root: Path, config: str) -> str:
    if file.secret and not file.path.endswith(_CHECKED_WITH_SECRETS):
        return "placeholder"
    if not file.path.startswith(config):
        return file.content
    text = file.content.replace(_CONTAINER_CONFIG, f"{root}/etc-techsapo/")
    text = text.replace(_CONTAINER_SECRETS, f"{root}/run-secrets/")
    # nginx resolves the names of its upstreams at once, and containers have none outside their network.
    return _UPSTREAM_HOST.sub(r"\g<1>127.0.0.1\g<2>", text) if file.path.endswith("nginx.conf") else text
