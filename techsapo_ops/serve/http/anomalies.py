"""Requests that look like an attack or a mistake: counted and logged, never refused for it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

import structlog
from starlette.types import Scope

from techsapo_ops.catalogue.dangers import Reason, request_signs
from techsapo_ops.masking.search import Finder
from techsapo_ops.serve.http.proxies import address_of
from techsapo_ops.stores.keys import Refusal

log = structlog.get_logger()

MINUTE = 60.0
HOUR = 3600.0
BURST = 6000
"""Requests a minute from one address; more are a burst."""
SCAN = 20
"""Requests a minute from one address for unknown paths; more are a scan."""
KEY_NETWORKS = 5
"""Networks (IPv4 /24, IPv6 /48) from which one API key may come within an hour; one more is misuse."""
MOST_ADDRESSES = 4096
"""Addresses that are counted at once; who has asked longest ago makes room, so that memory is bounded."""
_KEYS: dict[Refusal, Reason] = {"revoked": "revoked_key", "expired": "expired_key", "scope": "key_scope"}


@dataclass(slots=True)
class _Minute:
    """What one address did within the present minute."""

    began: float
    requests: int = 0
    unknown: int = 0


class Anomalies:
    """Tells `count` of each anomaly's reason. `clock` counts seconds."""

    def __init__(self, count: Callable[[Reason], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._clock = clock
        self._minutes: OrderedDict[str, _Minute] = OrderedDict()
        self._networks: dict[str, OrderedDict[str, float]] = {}

    def seen(self, scope: Scope, *, known: bool) -> None:
        """Look at a request that was answered; `known` says whether there is a route for its path."""
        address, request_id = str(scope["state"]["client"]), str(scope["state"]["request_id"])
        if not known or ".." in scope["path"]:
            asked = unquote(f"{scope['path']}?{scope.get('query_string', b'').decode('latin-1')}")
            if request_signs().paths.search(asked[:4096]):
                self._report("sensitive_path", request_id, address)
        if scope["state"].get("problem") == "body_too_large":
            self._report("oversized_body", request_id, address)
        minute = self._minute(address)
        minute.requests += 1
        minute.unknown += not known
        if minute.requests > BURST:
            self._report("burst", request_id, address, tell=minute.requests == BURST + 1)
        if not known and minute.unknown > SCAN:
            self._report("scan", request_id, address, tell=minute.unknown == SCAN + 1)

    def asked(self, prompt: str, request_id: str, address: str) -> None:
        """Look at a question."""
        if wants_secrets().within(prompt):
            self._report("sensitive_data", request_id, address)

    def key_refused(self, refusal: Refusal, request_id: str, address: str) -> None:
        """Look at why a key was refused."""
        if refusal in _KEYS:
            self._report(_KEYS[refusal], request_id, address)

    def key_used(self, key: str, address: str, request_id: str) -> None:
        """Look at where a key that was accepted comes from."""
        network, now = network_of(address), self._clock()
        seen = self._networks.setdefault(key, OrderedDict())
        while seen and now - next(iter(seen.values())) > HOUR:
            seen.popitem(last=False)
        if network not in seen and len(seen) >= KEY_NETWORKS:
            self._report("key_networks", request_id, address, key=key)
            seen.popitem(last=False)
        seen[network] = now
        seen.move_to_end(network)

    def _minute(self, address: str) -> _Minute:
        now = self._clock()
        minute = self._minutes.get(address)
        if minute is None or now - minute.began >= MINUTE:
            minute = self._minutes[address] = _Minute(now)
            if len(self._minutes) > MOST_ADDRESSES:
                self._minutes.popitem(last=False)
        self._minutes.move_to_end(address)
        return minute

    def _report(
        self, reason: Reason, request_id: str, address: str, *, tell: bool = True, key: str | None = None
    ) -> None:
        self._count(reason)
        if tell:
            log.warning(
                "Anomalous request",
                requestId=request_id,
                reason=reason,
                client=address,
                key=key,
                refused=reason,
            )


@cache
def wants_secrets() -> Finder:
    """Finds what a question that wants this service's own secrets holds."""
    return Finder(request_signs().prompts)


def network_of(address: str) -> str:
    """The network that `address` belongs to: IPv4 /24, IPv6 /48; what is no address stands for itself."""
    parsed = address_of(address)
    if parsed is None:
        return address
    size = 32 - 24 if parsed.version == 4 else 128 - 48
    return f"{int(parsed) >> size:x}/{parsed.version}"
