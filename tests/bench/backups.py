"""Backups against `mariadb-dump | zstd` and `redis-cli --rdb | zstd`, each alone and both at once.

A million audit rows and 500 MB of Redis, each measured twice in turn with its baseline; the better counts.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from datetime import UTC, datetime

from techsapo_ops.backup.repository.create import create
from techsapo_ops.backup.repository.folder import Repository
from techsapo_ops.backup.repository.manifest import Manifest
from techsapo_ops.services.mysql.dump import DUMP
from tests.bench.backup_servers import MEGABYTES, ROWS, STAMP, best, filled, shell, timed
from tests.bench.row import Row

_CHECKSUM = "CHECKSUM TABLE audit"
MEMORY = 150.0
"""Most resident memory in MB, whatever the size."""


def run(rows: int = ROWS, megabytes: int = MEGABYTES) -> Iterator[Row]:
    """MariaDB's facts are counted while the dump goes on: on two processors the dump pays for them."""
    with filled(rows, megabytes) as made:
        dumping = f"mariadb-dump {made.login} {' '.join(DUMP)} a | zstd -1 -q -f -o {made.top}/raw.sql.zst"
        taking = f"redis-cli -p {made.port} --rdb - | zstd -1 -q -f -o {made.top}/raw.rdb.zst"

        def back_up() -> None:
            made.mysql.take(made.folder(), STAMP, lambda _: None)

        whole, raw = best(back_up, lambda: shell(dumping))
        yield Row("MariaDB dump with facts", whole, raw, 1.10, "s")
        facts = timed(lambda: shell(f"mariadb {made.login} a -e 'SELECT COUNT(*) FROM audit; {_CHECKSUM}'"))
        print(f"counting rows and {_CHECKSUM}, with nothing else at work: {facts:.1f} s of one processor")
        snapshot, raw = best(
            lambda: made.redis.take(made.folder(), STAMP, lambda _: None), lambda: shell(taking)
        )
        yield Row("Redis snapshot", snapshot, raw, 1.10, "s")
        draft, sources = Manifest.draft("bench", "native"), (made.redis, made.mysql)
        both, raw = best(
            lambda: create(Repository(made.folder()), draft, sources, lambda: datetime.now(UTC)),
            lambda: shell(f"({dumping}) & a=$!; ({taking}) & wait $a && wait $!"),
        )
        yield Row("both at once", both, raw, 1.10, "s")
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield Row("memory", used, MEMORY, 1.0, "MB")
