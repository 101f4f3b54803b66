"""Which configuration a running nginx has loaded: it serves the digest of its own file."""

from __future__ import annotations

from collections.abc import Mapping

from techsapo_ops.adapters.http import fetch
from techsapo_ops.services.loaded_configuration import TIMEOUT, Loaded, Server
from techsapo_ops.services.nginx.site import CONFIG_LOCATION, NGINX_CONF, config_digest
from techsapo_ops.stack.desired import RenderedFile

_SILENT_REFUSAL = 5.0
"""Seconds: it reloads as quickly as the others, but never says that it refused."""


def _differs(server: Server, prefix: str, files: Mapping[str, RenderedFile]) -> str:
    wanted = config_digest(files[prefix + NGINX_CONF])
    if wanted is None:
        return ""  # a template of the user's own without the location: there is nothing to ask
    answer = fetch(f"{server.url}{CONFIG_LOCATION}", timeout=TIMEOUT)
    runs = answer.text.strip() if answer.ok else f"HTTP {answer.status}"
    return "" if runs == wanted else f"{CONFIG_LOCATION} says {runs[:16]} instead of {wanted[:16]}"


LOADED = Loaded(_differs, patience=_SILENT_REFUSAL)
