"""Redis and MariaDB: full, read-only, locked, slow, unreachable."""

from __future__ import annotations

import time
from pathlib import Path

from tests.incidents.record import servers
from tests.incidents.record.scenario import scenario
from tests.incidents.record.world import PYTHON, World, run


@scenario(
    "redis-at-maxmemory",
    alert="ShopErrors",
    service="redis",
    services=("reviews", "mailer"),
    redis=("maxmemory 12mb", 'save ""'),
    cause="Redis reached maxmemory with the policy noeviction, since shop v42 stores carts of a hundred kilobytes.",
    chain=(
        "the recording deployed shop v42, which writes each cart 300 times",
        "Redis uses all of its maxmemory of 12 MB and may not evict",
        "Redis refuses writes: OOM command not allowed",
        "carts and checkouts fail",
    ),
    decisive=(("logs", ("OOM command not allowed",)),),
    distractors=("the mailer's queue stands still as well", "no memory is short on the host"),
)
def maxmemory(world: World) -> None:
    world.deploy(
        "shop",
        "v42",
        {'fields["body"])\n            client.expire': '*[fields["body"]] * 300)\n            client.expire'},
    )


@scenario(
    "redis-cannot-save",
    alert="ShopErrors",
    service="redis",
    services=("stock", "reviews", "mailer"),
    redis=("save 8 2",),
    cause="Redis cannot write its snapshot, since its folder was given to root, and so refuses all writes.",
    chain=(
        "the recording ran a hardening job that gave /var/lib/redis to root",
        "Redis cannot create its temporary RDB file: Permission denied",
        "after a failed save Redis refuses writes: MISCONF",
        "carts and checkouts fail",
    ),
    decisive=(("logs", ("Failed opening the temp RDB file",)),),
    distractors=("shop and mailer log far more than Redis", "Redis answers reads and its memory is fine"),
)
def saving(world: World) -> None:
    world.job(
        "harden-permissions",
        "sh",
        "-c",
        "chown -R root:root /var/lib/redis && chmod 750 /var/lib/redis && echo 41 paths checked",
    )


@scenario(
    "redis-blocked-by-a-report",
    alert="ShopErrors",
    service="redis",
    services=("stock", "payments", "mailer"),
    cause="The job loyalty-report runs long scripts inside Redis, which answers nobody else meanwhile.",
    chain=(
        "the recording ran the job loyalty-report, which evaluates a Lua script of seconds in Redis, over and over",
        "Redis has one thread: all other commands wait",
        "shop and mailer run into their two seconds",
        "requests fail with timeouts, most loudly in the mailer and the shop",
    ),
    decisive=(("changes", ("loyalty-report",)),),
    distractors=("the mailer and the shop are the loudest", "the network looks guilty of timeouts"),
)
def report(world: World) -> None:
    script = (
        "import redis, time\n"
        "client = redis.Redis('127.0.0.12', socket_timeout=60)\n"
        "began = time.time()\n"
        "while time.time() < began + 45:\n"
        '    client.eval("local n = 0; for i = 1, 90000000 do n = n + i % 7 end; return n", 0)\n'
        "    time.sleep(0.3)\n"
        "print('report written')\n"
    )
    world.later(lambda: world.job("loyalty-report", PYTHON, "-c", script, service="redis"))


@scenario(
    "packets-to-redis-are-lost",
    alert="ShopSlow",
    service="redis",
    services=("stock", "reviews", "mailer"),
    cause="The network to Redis loses two packets in five.",
    chain=(
        "the recording dropped 40 % of the packets to redis.internal by a netfilter rule",
        "TCP sends segments anew, with growing pauses",
        "calls of Redis take up to seconds, and some time out",
        "pages are slow",
    ),
    decisive=(("metrics", ("node_netstat_Tcp_RetransSegs",)),),
    distractors=("Redis itself is idle and answers within milliseconds", "the shop's timeouts name Redis"),
)
def loss(world: World) -> None:
    run(
        *[
            "iptables",
            "-A",
            "INPUT",
            "-d",
            "127.0.0.12",
            "-p",
            "tcp",
            "-m",
            "statistic",
            "--mode",
            "random",
            "--probability",
            "0.4",
            "-j",
            "DROP",
        ]
    )


@scenario(
    "database-connections-leak",
    alert="ShopErrors",
    service="stock",
    cause="Version 42 of stock never returns its database connections and used up MariaDB's 40.",
    chain=(
        "the recording deployed stock v42, which opens a connection for each reservation and holds it",
        "threads_connected reaches max_connections",
        "MariaDB refuses everybody: Too many connections",
        "searches, checkouts and product pages fail",
    ),
    decisive=(("logs", ("Too many connections",)), ("changes", ("deployed stock v42",))),
    distractors=("the shop's errors are louder than those of stock", "the traffic is as always"),
    rate=1.0,
)
def leak(world: World) -> None:
    world.deploy(
        "stock",
        "v42",
        {
            "        self._idle.put(connection)": "        self.__dict__.setdefault('_held', []).append(connection)"
        },
    )


@scenario(
    "stocktake-holds-locks",
    alert="CheckoutFailing",
    service="mariadb",
    cause="The job stocktake holds locks on all rows of the table stock in one long transaction.",
    chain=(
        "the recording ran the job stocktake, which updates all rows of stock in a transaction and counts for most of a minute",
        "reservations wait for its row locks until the limit of three seconds",
        "stock answers errors, and checkouts fail",
    ),
    decisive=(("logs", ("Lock wait timeout exceeded",)), ("changes", ("stocktake",))),
    distractors=("the shop and payments time out", "MariaDB's load is low"),
)
def locks(world: World) -> None:
    script = (
        "import pymysql, time\n"
        "c = pymysql.connect(unix_socket='/run/mysqld/mysqld.sock', user='root', database='shop')\n"
        "c.cursor().execute('UPDATE stock SET amount = amount + 0')\n"
        "c.cursor().execute('UPDATE stock SET amount = amount - 0 WHERE id > 0')\n"
        "time.sleep(45)\n"
        "c.commit()\n"
        "print('40 articles counted')\n"
    )
    world.later(lambda: world.job("stocktake", PYTHON, "-c", script, service="mariadb"))


@scenario(
    "index-dropped-by-a-migration",
    alert="ShopSlow",
    service="mariadb",
    services=("reviews", "mailer"),
    cause="Migration 42 dropped the index by_product of the table sales, so that each search reads the whole table many times.",
    chain=(
        "the recording applied a migration that drops an index",
        "each search scans 60,000 sales once per product",
        "MariaDB is busy, and searches take seconds",
    ),
    decisive=(("changes", ("DROP INDEX by_product",)),),
    distractors=("product pages get slow as well, for the database is busy", "an unrelated change before"),
)
def index(world: World) -> None:
    statement = "ALTER TABLE sales DROP INDEX by_product"
    servers.sql(statement)
    world.change(
        "apply",
        "applied migration 42 of the shop's database",
        "mariadb",
        f"{statement};\nALTER TABLE orders ADD COLUMN note TEXT;",
    )


@scenario(
    "replica-stopped-at-a-duplicate",
    alert="ReplicaBehind",
    service="replica",
    services=("replica", "reviews", "mailer"),
    cause="An order was written on the replica by hand, and the same key from the primary stopped its replication.",
    chain=(
        "the recording inserted an order on the replica itself, a few numbers ahead",
        "the primary's own order of that number arrives: Duplicate entry",
        "the replica's SQL thread stops, and its data ages",
    ),
    decisive=(("logs", ("Duplicate entry",)),),
    distractors=("the network between the two is fine", "the primary takes orders as always"),
    prepare=lambda world: _replicate(),
)
def duplicate(world: World) -> None:
    ((last,),) = servers.sql("SELECT MAX(id) FROM orders")
    statement = f"INSERT INTO orders (id, buyer, session) VALUES ({last + 6}, 'support', 'by hand')"
    servers.sql(statement, address="/run/mysqld/replica.sock")


def _replicate() -> None:
    def ask(statement: str) -> None:
        servers.sql(statement, address="/run/mysqld/replica.sock")

    ask(
        "CHANGE MASTER TO master_host='127.0.0.11', master_user='watcher', master_password='watching', "
        "master_log_file='bin.000001', master_log_pos=4"
    )
    ask("START SLAVE")


@scenario(
    "database-left-read-only",
    alert="CheckoutFailing",
    service="mariadb",
    services=("stock", "reviews", "mailer"),
    cause="The maintenance script left MariaDB with read_only on.",
    chain=(
        "the recording ran a maintenance job that sets read_only and ended early, before it would have taken that back",
        "MariaDB refuses writes of ordinary users",
        "reservations and orders fail, while pages are served",
    ),
    decisive=(("logs", ("--read-only option",)),),
    distractors=("the maintenance was announced as finished", "stock looks guilty"),
)
def read_only(world: World) -> None:
    script = "mariadb -e 'SET GLOBAL read_only = ON; OPTIMIZE TABLE shop.stock' && exit 0"
    world.job("database-maintenance", "sh", "-c", script, service="mariadb")
    world.event("the maintenance of the database is finished", "mariadb")


@scenario(
    "redis-made-a-replica",
    alert="ShopErrors",
    service="redis",
    services=("reviews", "mailer"),
    cause="Somebody made the only Redis a replica of a host that does not exist, and a replica takes no writes.",
    chain=(
        "the recording sent REPLICAOF 127.0.0.13 6379 to Redis, as of a wrong step of a runbook",
        "Redis looks for its primary and is read-only: READONLY",
        "carts and checkouts fail",
    ),
    decisive=(("logs", ("Connecting to MASTER", "READONLY You can't write against a read only replica")),),
    distractors=("mails wait, so the mailer looks guilty",),
)
def replica_of(world: World) -> None:
    servers.store().execute_command("REPLICAOF", "127.0.0.13", "6379")
    time.sleep(1)
    assert Path("/var/log/redis.log").exists()
