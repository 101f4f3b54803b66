"""Faults whose decisive source nobody could read: the right verdict is that the evidence is not enough."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.incidents.record import servers
from tests.incidents.record.scenario import scenario
from tests.incidents.record.world import World, run

_DENIED = "permission denied"


@scenario(
    "charges-fail-payments-unread",
    outcome="unsolvable",
    alert="CheckoutFailing",
    service="payments",
    unread={"log of payments": _DENIED, "metrics of payments": "no job scrapes payments"},
    cause="Not in this bundle: the log of payments is needed, for it alone says what the provider answered (its key was revoked).",
    chain=(
        "the recording removed the key at the provider's stand-in",
        "payments answers 502 to the shop, and its own log and metrics were not read",
    ),
    decisive=(("logs", ("was revoked",)),),
    distractors=("the unrelated change shortly before", "time alone makes it look guilty"),
)
def key(world: World) -> None:
    servers.write_json("/etc/psp/psp.json", {"keys": ["key-of-the-shop-2"], "rate": 20, "seconds": 0.06})


@scenario(
    "charges-slow-payments-unread",
    outcome="unsolvable",
    alert="ShopSlow",
    service="payments",
    unread={"log of payments": "the file does not exist", "metrics of payments": "no job scrapes payments"},
    cause="Not in this bundle: payments' metrics are needed, which part the time of the provider (here slow) from that of look-ups and of itself.",
    chain=(
        "the recording made the provider's stand-in answer after some 1.8 s",
        "the shop waits for payments, whose log and metrics were not read",
    ),
    decisive=(("metrics", ('dependency_seconds_total{dependency="psp"',)),),
    distractors=("payments is slow, which may have its cause in it, in a resolver or at the provider",),
)
def slow(world: World) -> None:
    servers.write_json("/etc/psp/psp.json", {"keys": ["key-of-the-shop-1"], "rate": 20, "seconds": 1.8})


@scenario(
    "reservations-fail-stock-unread",
    outcome="unsolvable",
    alert="CheckoutFailing",
    service="stock",
    unread={
        "log of stock": _DENIED,
        "metrics of stock": "no job scrapes stock",
        "log of mariadb": _DENIED,
        "metrics of mariadb": "the exporter's password was refused",
    },
    cause="Not in this bundle: the log of stock or MariaDB is needed (stock's database user lost its right to update).",
    chain=(
        "the recording took the right UPDATE on the table stock from the database user by hand",
        "stock answers 500 to the shop, and neither its log nor the database's was read",
    ),
    decisive=(("logs", ("command denied to user",)),),
    distractors=("orders are written to the same database without errors, so it looks healthy",),
)
def reservations(world: World) -> None:
    servers.sql("REVOKE ALL ON shop.* FROM shop@'%'")
    for table, rights in (
        ("products", "SELECT"),
        ("sales", "SELECT"),
        ("orders", "INSERT"),
        ("stock", "SELECT"),
    ):
        servers.sql(f"GRANT {rights} ON shop.{table} TO shop@'%'")


@scenario(
    "mailer-halted-by-somebody",
    outcome="unsolvable",
    alert="ServiceDown",
    service="mailer",
    services=("stock", "reviews", "mailer"),
    unread={"log of sshd": "the host has no audit log", "log of mailer": _DENIED},
    cause="Not in this bundle: who or what halted the mailer is needed (a person sent it SIGSTOP over ssh).",
    chain=(
        "the recording sent SIGSTOP to the mailer and noted nothing, as a person at a terminal would",
        "its process exists and answers nobody",
    ),
    decisive=(("logs", ("SIGSTOP",)),),
    distractors=("its unit is running", "an unrelated change shortly before"),
)
def halted(world: World) -> None:
    world.signal("mailer", signal.SIGSTOP)


@scenario(
    "sessions-fail-auth-unread",
    outcome="unsolvable",
    alert="ShopErrors",
    service="auth",
    services=("stock", "reviews", "mailer"),
    unread={
        "log of auth": "the disk with this log is not mounted here",
        "changes of kind event": "the address of the pipeline does not answer",
    },
    cause="Not in this bundle: the log of auth is needed (it may not write its sessions, whose folder belongs to root).",
    chain=(
        "the recording gave /var/lib/shop/sessions to root and deployed auth v42",
        "auth answers 500 to each login, and its log was not read",
    ),
    decisive=(("logs", ("Permission denied: '/var/lib/shop/sessions",)),),
    distractors=("auth was restarted shortly before, which may be chance",),
)
def sessions(world: World) -> None:
    run("chown", "root:root", "/var/lib/shop/sessions")
    Path("/var/lib/shop/sessions").chmod(0o755)
    world.deploy("auth", "v42")
