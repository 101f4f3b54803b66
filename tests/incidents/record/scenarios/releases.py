"""Releases and programs: crashes, leaks, limits of memory and processor, ports."""

from __future__ import annotations

import json
import time

from tests.incidents.record import servers
from tests.incidents.record.scenario import scenario
from tests.incidents.record.world import PYTHON, Unit, World


@scenario(
    "shop-out-of-memory",
    alert="ServiceRestarts",
    service="shop",
    services=("reviews", "mailer"),
    limits={"shop": {"memory": 110 << 20}},
    cause="Version 42 of the shop loads the whole catalogue at its start and exceeds its memory limit of 110 MB.",
    chain=(
        "the recording deployed shop v42, which holds 150 MB from its start",
        "its control group has a limit of 110 MB: the kernel kills it",
        "the service manager restarts it, again and again",
    ),
    decisive=(("changes", ("the kernel killed shop",)), ("logs", ("Memory cgroup out of memory",))),
    distractors=("the host has memory to spare", "nginx logs connection refused"),
)
def memory(world: World) -> None:
    old = "        self._images = 0\n"
    world.deploy(
        "shop",
        "v42",
        {old: old + "        for _ in range(150):\n            HELD.append(os.urandom(1 << 20))\n"},
    )


@scenario(
    "crash-loop-after-an-upgrade",
    alert="ServiceRestarts",
    service="mailer",
    services=("stock", "payments", "reviews", "mailer"),
    cause="Version 42 of the mailer needs the setting sender, which its file lacks, and ends at once.",
    chain=(
        "the recording deployed mailer v42 without the setting that it demands",
        "it ends with KeyError: 'sender' and is restarted, again and again",
        "mails wait in the queue",
    ),
    decisive=(("logs", ("KeyError: 'sender'",)),),
    distractors=("Redis holds a growing queue", "reviews logs errors as always"),
)
def upgrade(world: World) -> None:
    old = (
        "        self.store, self.routes = Store(settings), dict[str, base.Handler]()\n        METRICS.gauge"
    )
    world.deploy("mailer", "v42", {old: '        self.sender = settings["sender"]\n' + old})


@scenario(
    "worker-ended-by-a-bad-mail",
    alert="QueueLong",
    service="mailer",
    services=("stock", "reviews", "mailer"),
    cause="The job import-orders queued a mail without a total, at which the mailer's worker ended; the process lives on.",
    chain=(
        "the recording ran the job import-orders, which queues a mail whose total is null",
        "the worker's thread ends with a TypeError, and nothing starts it anew",
        "the queue grows, while mailer answers Prometheus as if all were well",
    ),
    decisive=(("logs", ("TypeError: int() argument",)),),
    distractors=("the mailer is up", "more orders than usual seem to arrive"),
    rate=1.2,
)
def poison(world: World) -> None:
    mail = json.dumps({"order": 1, "to": "partner", "total": None})
    script = f"import redis; print(redis.Redis('127.0.0.12').rpush('mails', {mail!r}), 'orders imported')"
    world.job("import-orders", PYTHON, "-c", script, service="shop")


@scenario(
    "mailer-leaks-memory",
    alert="MemoryGrows",
    service="mailer",
    services=("stock", "reviews", "mailer"),
    cause="Version 42 of the mailer holds two megabytes of each mail that it has sent.",
    chain=(
        "the recording deployed mailer v42, which never lets go of the attachments",
        "its resident memory grows by some two megabytes a second",
    ),
    decisive=(("changes", ("deployed mailer v42",)),),
    distractors=("another change shortly before", "traffic is as always"),
)
def leak(world: World) -> None:
    old = '        METRICS.add("mails_sent_total")'
    world.deploy("mailer", "v42", {old: old + "\n        HELD.append(os.urandom(2 << 20))"})


@scenario(
    "job-takes-the-processor",
    alert="ShopSlow",
    service="thumbnails",
    services=("stock", "payments", "mailer"),
    limits={name: {"cpu_group": "shop"} for name in ("shop", "auth", "stock", "payments")},
    cause="The cron job thumbnails takes all processor time of the control group in which the shop runs.",
    chain=(
        "the recording ran the job thumbnails with four busy processes in the shop's control group, which has 0.4 of a processor",
        "shop, auth, stock and payments wait for their turn",
        "requests are slow everywhere at once",
    ),
    decisive=(("metrics", ("unit_cpu_seconds_total{", "thumbnails")),),
    distractors=("every service looks slow, payments the most", "the host's processors are not busy"),
    prepare=lambda world: (world.cpu_group("shop") / "cpu.cfs_quota_us").write_text("40000"),
)
def thumbnails(world: World) -> None:
    script = (
        "import hashlib, os, time\n"
        "[os.fork() for _ in range(2)]\n"
        "ends = time.time() + 70\n"
        "while time.time() < ends: hashlib.sha256(b'x' * 4096).digest()\n"
    )
    world.cron("(www-data) CMD (systemctl start thumbnails)")
    world.start(Unit("thumbnails", (PYTHON, "-c", script), cpu_group="shop", restarts=False))


@scenario(
    "port-taken-by-another-service",
    alert="ServiceRestarts",
    service="stock",
    services=("stock", "payments", "reviews", "mailer"),
    cause="The new service reviews2 listens on port 8082, which belongs to stock, and stock cannot start again.",
    chain=(
        "the recording stopped stock for its deploy and meanwhile started reviews2 with port = 8082",
        "stock cannot bind: Address already in use",
        "stock is restarted again and again, and checkouts fail",
    ),
    decisive=(("logs", ("Address already in use",)),),
    distractors=("the deploy of stock itself", "the shop gets 404 from what answers on that port"),
)
def port(world: World) -> None:
    world.stop("stock")
    world.install("stock", "v42")
    servers.service(world, "reviews2", "v12", {"port": 8082})
    world.event("deployed the new service reviews2 v12 for trial", "reviews2")
    time.sleep(3)
    world.start(world.units["stock"])
    world.event("deployed stock v42", "stock")
