"""Alerts that fire although nothing is broken."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

from tests.incidents.record import servers
from tests.incidents.record.scenario import scenario
from tests.incidents.record.world import PYTHON, World


@scenario(
    "queue-threshold-below-the-digest",
    outcome="false_alarm",
    alert="QueueLong",
    service="mailer",
    services=("stock", "reviews", "mailer"),
    cause="The job send-digest queues 600 mails each time, as it always does, and the mailer sends them within a quarter of a minute.",
    chain=(
        "the recording ran the job send-digest, once before and once for the alert",
        "queue_length jumps to 600, far above QueueLong's threshold of 25, and falls steadily",
        "no mail is late",
    ),
    decisive=(("changes", ("send-digest",)), ("metrics", ("queue_length",))),
    distractors=("an unrelated change shortly before", "reviews logs errors as always"),
)
def digest(world: World) -> None:
    mail = json.dumps({"order": 1, "to": "reader", "total": 0})
    script = (
        f"import redis; print(redis.Redis('127.0.0.12').rpush('mails', *[{mail!r}] * %d), 'mails queued')"
    )
    world.job("send-digest", PYTHON, "-c", script % 150, service="mailer")
    time.sleep(20)
    world.job("send-digest", PYTHON, "-c", script % 600, service="mailer")


@scenario(
    "planned-import-fills-redis",
    outcome="false_alarm",
    alert="RedisMemoryHigh",
    service="redis",
    services=("reviews", "mailer", "stock"),
    cause="The import of the catalogue was planned and announced; it needs most of Redis's memory for a minute and gives it back.",
    chain=(
        "the recording announced the import and ran it: 44 MB of keys that are removed after 40 s",
        "redis_memory_used_bytes is above nine tenths of redis_memory_max_bytes meanwhile",
        "no write is refused",
    ),
    decisive=(("changes", ("planned: catalogue import",)),),
    distractors=("Redis at maxmemory would refuse writes, which it does not",),
)
def planned(world: World) -> None:
    world.event("planned: catalogue import, Redis fills to about 95 % for a minute", "redis")
    script = (
        "import redis, time\n"
        "c = redis.Redis('127.0.0.12')\n"
        "for n in range(430): c.set(f'import:{n}', b'x' * 100_000)\n"
        "time.sleep(40)\n"
        "for n in range(430): c.unlink(f'import:{n}')\n"
        "print('12000 products imported')\n"
    )
    world.later(lambda: world.job("import-catalogue", PYTHON, "-c", script, service="redis"))


@scenario(
    "deploy-restarts-reviews-slowly",
    outcome="false_alarm",
    alert="ServiceDown",
    service="reviews",
    services=("stock", "reviews", "payments"),
    cause="The deploy of reviews v14 restarted it, and it builds its index for some 14 seconds before it listens.",
    chain=(
        "the recording deployed reviews v14, which waits 14 s at its start",
        "Prometheus cannot scrape it meanwhile",
        "it is up again by itself; the shop shows products without reviews until then",
    ),
    decisive=(("changes", ("deployed reviews v14",)),),
    distractors=("the shop warns about reviews that do not answer",),
)
def slow_start(world: World) -> None:
    old = "        self._count = 0\n"
    world.deploy(
        "reviews",
        "v14",
        {
            old: old
            + '        LOG.warning("building the index, this takes a while")\n        time.sleep(14)\n'
        },
    )


@scenario(
    "probe-expects-the-old-text",
    outcome="false_alarm",
    alert="ProbeFailing",
    service="blackbox-exporter",
    services=("stock", "reviews", "mailer"),
    cause="The probe expects the word Welcome, which shop v42 no longer says; the shop answers all requests.",
    chain=(
        "the recording deployed shop v42, whose health page has another text",
        "the blackbox exporter gets 200 and does not find its regular expression in the body",
        "customers notice nothing",
    ),
    decisive=(("logs", ("did not match", "Body did not match regular expression")),),
    distractors=("a deploy of the shop shortly before, which looks guilty",),
)
def text(world: World) -> None:
    world.deploy("shop", "v42", {'"Welcome to the shop"': '"Good morning from the shop"'})


@scenario(
    "redis-exporter-ended",
    outcome="false_alarm",
    alert="ServiceDown",
    service="redis-exporter",
    services=("stock", "reviews", "mailer"),
    cause="The Redis exporter ended, not Redis, which serves the shop as before.",
    chain=(
        "the recording killed the exporter, which is not restarted",
        "Prometheus cannot scrape the job redis",
        "the shop's calls of Redis go well",
    ),
    decisive=(("logs", ("redis-exporter.service: main process",)), ("host", ("redis-exporter.service",))),
    distractors=("the alert names redis",),
)
def exporter(world: World) -> None:
    world.units["redis-exporter"].restarts = False
    world.signal("redis-exporter", signal.SIGABRT)


@scenario(
    "traffic-after-the-newsletter",
    outcome="false_alarm",
    alert="TrafficHigh",
    service="nginx",
    services=("reviews", "mailer"),
    cause="The newsletter that was announced brings many readers, and the shop serves them.",
    chain=(
        "the recording announced a newsletter and sent 16 more visits a second",
        "nginx gets four times its usual requests",
        "answers stay quick and without errors",
    ),
    decisive=(("changes", ("newsletter",)),),
    distractors=("an unrelated change shortly before", "bots that look for other software"),
)
def newsletter(world: World) -> None:
    world.event("newsletter of the autumn sale sent to 40,000 customers", "shop")
    servers.customers(world, 16, kind="readers")


@scenario(
    "staging-certificate-on-purpose",
    outcome="false_alarm",
    alert="CertificateEnds",
    service="staging",
    services=("reviews", "mailer", "payments"),
    probes={"http://shop.example/healthz": "http", "staging.shop.example:443": "tls"},
    cause="Staging got a certificate of one day on purpose, to try renewals; the shop's own certificate is valid for two months.",
    chain=(
        "the recording announced certificates of one day for staging and issued one",
        "the probe of staging sees an end within seven days",
        "nothing that customers use is concerned",
    ),
    decisive=(("changes", ("certificates of one day",)),),
    distractors=("the renewal of staging's certificate looks like a failure",),
    prepare=lambda world: _staging(world),
)
def one_day(world: World) -> None:
    world.event("planned: staging gets certificates of one day from today, to try renewals", "staging")
    servers.certificate("/etc/shop/staging", "staging.shop.example", ends_in=86400)
    world.signal("nginx", signal.SIGHUP)
    world.change("certificate", "renewed the certificate of staging.shop.example", "staging")


def _staging(world: World) -> None:
    servers.certificate("/etc/shop/staging", "staging.shop.example")
    with Path("/etc/hosts").open("a") as file:
        file.write("127.0.0.31 staging.shop.example\n")
    Path("/etc/nginx/conf.d/staging.conf").write_text(
        "server {\n  listen 127.0.0.31:443 ssl;\n  ssl_certificate /etc/shop/staging.pem;\n"
        "  ssl_certificate_key /etc/shop/staging.key;\n  return 200 staging;\n}\n"
    )
    world.signal("nginx", signal.SIGHUP)


@scenario(
    "counter-of-orders-began-anew",
    outcome="false_alarm",
    alert="OrdersFell",
    service="shop",
    cause="The shop was restarted, its counter of orders began at zero, and the alert's delta() takes that for a fall.",
    chain=(
        "the recording restarted the shop, as a nightly restart does",
        "orders_total begins at zero",
        "delta() of a counter is negative after a restart, where increase() would not be",
    ),
    decisive=(("logs", ("shop.service: started",)), ("metrics", ("process_start_time_seconds",))),
    distractors=("nginx logs a few refused connections during the restart",),
)
def counter(world: World) -> None:
    world.cron("(root) CMD (systemctl restart shop)")
    world.restart("shop")
