"""A new certificate in use: from the reload to the first handshake that shows it, and a whole order."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.row import Row

ROUNDS = 20
ORDERS = 5
CLIENTS = 8
SERVED_BOUND = 1.7
"""Times `nginx -s reload` of the same run, which takes 59 ms on a quiet machine: 100 ms is meant. Ours takes
26 to 29, as it has checked the files before and sends the signal itself."""
GONE_BOUND = 1.5
"""The old certificate goes 100 ms after the new one comes, however it is reloaded: nginx leaves its old
workers accepting for so long."""
ORDER_BOUND = 4.0
"""Times a renewal without a CA, which is mostly the reading back: about 0.2 s; 0.8 s is meant."""


def run() -> Iterator[Row]:
    """Renew again and again on a stack of its own, with pebble beside it."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))
    from edges import NAME, acme_edge

    from techsapo_ops.certs.renew import renew

    with tempfile.TemporaryDirectory() as folder, acme_edge(Path(folder)) as edge:
        edge.techsapo("issue")
        issued = edge.certificates()
        order = [_milliseconds(lambda: renew(issued, force=True)) for _ in range(ORDERS)]
        edge.project.write(certificates={"techsapo": {"names": [NAME]}})
        edge.techsapo("renew")
        made = edge.certificates()
        plain = [_milliseconds(lambda: renew(made, force=True)) for _ in range(ORDERS)]
        site = made.site
        assert site is not None
        ours = _reloads(edge, made, site.reload)
        bare = _reloads(edge, made, lambda: _bare_reload(site))
    yield Row("new certificate served", ours[0], bare[0], SERVED_BOUND)
    yield Row("old certificate gone", ours[1], bare[1], GONE_BOUND)
    yield Row("order from the CA, in use", statistics.median(order), statistics.median(plain), ORDER_BOUND)


def _reloads(edge, certificates, reload: Callable[[], None]) -> tuple[float, float]:  # type: ignore[no-untyped-def] # of the lab, imported late
    """Milliseconds from the call of `reload` until the new certificate was seen and the old one was no more.

    Medians of ROUNDS, by clients in a process of their own that connect all the time. A handshake that
    fails ends the bench.
    """
    from handshakes import connecting_apart

    begun = {}
    with connecting_apart(edge.tls_port, CLIENTS) as clients:
        for _ in range(ROUNDS):
            before, after = edge.served(), _stored(certificates)
            begun[before, after] = time.monotonic()
            reload()
            while edge.served() == before:
                time.sleep(0.01)
            time.sleep(0.3)  # until the old workers have gone
    assert clients.failures == [], clients.failures[:3]
    served = [clients.seen[_der(after)] - start for (_, after), start in begun.items()]
    gone = [clients.last[_der(before)] - start for (before, _), start in begun.items()]
    return statistics.median(served) * 1000, statistics.median(gone) * 1000


def _stored(certificates):  # type: ignore[no-untyped-def] # as above
    """A new certificate in place of the one before, of which nginx does not know yet."""
    from techsapo_ops.certs.self_signed import sign
    from techsapo_ops.certs.store import Origin

    store = certificates.of("techsapo").store
    pair = sign(certificates.of("techsapo").names, certificates.authority(), now=certificates.now())
    store.activate(store.put(pair, Origin("self-signed")))
    return pair.leaf


def _bare_reload(site) -> None:  # type: ignore[no-untyped-def] # as above
    """`nginx -s reload`, as anybody does it."""
    from techsapo_ops.services.registry import programs

    program = next(p for p in programs(site.topology) if p.service == site.service.name)
    subprocess.run([*program.argv, "-s", "reload"], cwd=program.directory, check=True, capture_output=True)


def _der(certificate) -> bytes:  # type: ignore[no-untyped-def] # as above
    from cryptography.hazmat.primitives.serialization import Encoding

    der: bytes = certificate.public_bytes(Encoding.DER)
    return der


def _milliseconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000
