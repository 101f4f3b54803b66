"""Disks and files: full, out of inodes, not permitted, too many open."""

from __future__ import annotations

import time
from pathlib import Path

from tests.incidents.record import servers
from tests.incidents.record.scenario import scenario
from tests.incidents.record.world import World, run

_HOARD = {
    'int(self.settings["retained"])': "10**6",
    'int(self.settings["bytes"])': '20 * int(self.settings["bytes"])',
}
"""An invoicer that removes nothing and renders in print quality."""


@scenario(
    "disk-filled-by-invoices",
    alert="ShopErrors",
    service="invoicer",
    services=("invoicer", "reviews", "mailer"),
    disks=(("/var/lib/shop", 64),),
    cause="Version 42 of the invoicer renders 1.2 MB a second and removes nothing, which filled /var/lib/shop.",
    chain=(
        "the recording deployed invoicer v42, whose invoices are twenty times larger and are never removed",
        "/var/lib/shop, a real file system of 64 MB, has no space left",
        "auth cannot write a session and the shop cannot store images",
        "logins and uploads end with errors",
    ),
    decisive=(("metrics", ("invoice_bytes_total",)), ("changes", ("deployed invoicer v42",))),
    distractors=("auth and shop log the most errors", "another change shortly before"),
)
def invoices(world: World) -> None:
    world.deploy("invoicer", "v42", _HOARD)


@scenario(
    "sessions-use-all-inodes",
    alert="ShopErrors",
    service="auth",
    services=("reviews", "mailer", "payments"),
    disks=(("/var/lib/shop/sessions", 24, "-N", "600"),),
    cause="Version 42 of auth writes a dozen files for each session, and the file system of the sessions ran out of inodes.",
    chain=(
        "the recording deployed auth v42, which writes twelve files a login instead of one",
        "/var/lib/shop/sessions, a real file system with 600 inodes, has none free while most of its space is",
        "auth cannot create files: No space left on device",
        "logins fail with an error",
    ),
    decisive=(("metrics", ("node_filesystem_files_free",)),),
    distractors=("the disk's bytes, of which most are free", "bots that guess passwords"),
)
def inodes(world: World) -> None:
    old = '.hexdigest()[:24]).write_text(given["user"])'
    world.deploy("auth", "v42", {f'        (DATA / "sessions" / hashlib.sha256(token.encode()){old}': (
        "        for part in range(12):\n"
        '            (DATA / "sessions" / f"{hashlib.sha256(token.encode()).hexdigest()[:24]}.{part}").write_text(given["user"])'
    )})  # fmt: skip


@scenario(
    "log-partition-full",
    alert="CheckoutFailing",
    service="payments",
    disks=(("/var/log/shop", 14),),
    cause="Payments v42 logs whole request dumps, which filled /var/log/shop, so that the shop cannot write its audit log.",
    chain=(
        "the recording deployed payments v42, which writes a dump of 300 kB for each charge",
        "/var/log/shop, a real file system of 14 MB, has no space left",
        "the shop cannot append to audit.log and answers 500 after the order was taken",
    ),
    decisive=(("metrics", ("/var/log/shop",)),),
    distractors=("logging errors of every service", "psp's occasional 503"),
)
def logs(world: World) -> None:
    line = '        LOG.info("dump %s", os.urandom(150_000).hex())\n'
    world.deploy(
        "payments",
        "v42",
        {'        key = Path("/etc/shop/psp.key")': line + '        key = Path("/etc/shop/psp.key")'},
    )


@scenario(
    "backup-fills-the-disk",
    alert="FilesystemFilling",
    service="mariadb",
    services=("reviews", "mailer"),
    disks=(("/var/lib/mysql", 330),),
    cause="The backup job keeps each copy on the database's own disk and removes none, which filled /var/lib/mysql.",
    chain=(
        "the recording ran the job backup again and again, as its cron table says, with the folder on the database's disk",
        "each run leaves a copy of the database by mariadb-backup there",
        "/var/lib/mysql, a real file system, has less than a tenth free",
    ),
    decisive=(("changes", ("backup ended",)),),
    distractors=("the database's own growth by orders",),
)
def backup(world: World) -> None:
    def work() -> None:
        for number in range(8):
            folder = f"/var/lib/mysql/backups-{number}"
            command = f"mariadb-backup --backup --target-dir={folder} --user=root --socket=/run/mysqld/mysqld.sock 2>&1 | tail -2"
            world.job("backup", "sh", "-c", command, service="mariadb")
            time.sleep(4)

    world.later(work)


@scenario(
    "wrong-owner-after-a-deploy",
    alert="ShopErrors",
    service="auth",
    services=("stock", "reviews", "mailer"),
    cause="The deploy of auth v42 left /var/lib/shop/sessions owned by root, and auth may not write there.",
    chain=(
        "the recording deployed auth v42 with an install step that made root the owner of the sessions' folder",
        "auth runs as www-data and is refused: Permission denied",
        "logins fail",
    ),
    decisive=(("logs", ("Permission denied: '/var/lib/shop/sessions",)),),
    distractors=("the shop logs an error for each login", "the disk has space left"),
)
def owner(world: World) -> None:
    run("chown", "root:root", "/var/lib/shop/sessions")
    Path("/var/lib/shop/sessions").chmod(0o755)
    world.deploy("auth", "v42")


@scenario(
    "open-files-used-up",
    alert="ShopErrors",
    service="shop",
    services=("reviews", "mailer"),
    limits={"shop": {"files": 96}},
    cause="Version 42 of the shop opens a template for each product page and never closes it, up to its limit of 96 open files.",
    chain=(
        "the recording deployed shop v42, which leaks a file for each product page",
        "process_open_fds reaches process_max_fds (RLIMIT_NOFILE is 96)",
        "the shop can open neither files nor connections: Too many open files",
    ),
    decisive=(("logs", ("Too many open files",)), ("metrics", ("process_open_fds",))),
    distractors=("Redis and MariaDB look unreachable in the shop's log",),
)
def files(world: World) -> None:
    old = '        METRICS.add("cache_requests_total"'
    world.deploy(
        "shop", "v42", {old: '        HELD.append(Path("/etc/nginx/nginx.conf").open("rb"))\n' + old}
    )


@scenario(
    "two-faults-at-once",
    alert="ShopErrors",
    service="payments",
    services=("stock", "payments", "invoicer", "mailer"),
    disks=(("/var/lib/shop", 40),),
    cause="Two at once: the payment provider revoked the shop's key, and the invoicer filled /var/lib/shop.",
    chain=(
        "the recording revoked the key at the provider's stand-in and deployed invoicer v42, which removes nothing",
        "charges are refused with 401, and /var/lib/shop has no space left",
        "checkouts and logins fail, each for its own reason",
    ),
    decisive=(
        ("logs", ("was revoked",)),
        ("metrics", ("invoice_bytes_total", "node_filesystem_avail_bytes")),
    ),
    distractors=("each of the two looks sufficient",),
)
def two(world: World) -> None:
    world.deploy("invoicer", "v42", _HOARD)
    time.sleep(12)
    servers.write_json("/etc/psp/psp.json", {"keys": ["key-of-the-shop-2"], "rate": 20, "seconds": 0.06})
