"""`backup verify --deep` of a million rows and 500 MB of Redis, restored as a test within a minute."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.backup_servers import MEGABYTES, ROWS, fill_redis
from tests.bench.backups import MEMORY
from tests.bench.row import Row

DEEP_SECONDS = 60.0


def run(rows: int = ROWS, megabytes: int = MEGABYTES) -> Iterator[Row]:
    """In a stack that runs, as the job `verify` does it."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "lab"))
    from backup_lab import Root, stack_of
    from projects import only_redis, project
    from servers import free_port

    from techsapo_ops.backup.create import create_backup
    from techsapo_ops.backup.verify import verify_backup

    spec = only_redis(mysql={"port": free_port()}, redis={"port": free_port(), "maxmemory": "2G"})
    with project(spec) as made:
        made.run("up")
        with Root(made) as sql:
            sql.execute(
                "CREATE TABLE bench (PRIMARY KEY (id)) AS SELECT seq AS id, NOW() AS at, UUID() AS who, "
                f"CONCAT(SHA1(seq), SHA1(seq + 1), ' analysis') AS what FROM seq_1_to_{rows}"
            )
        fill_redis(made.spec["redis"]["port"], megabytes)
        stack = stack_of(made)
        backup = create_backup(stack, only=("redis", "mysql")).backup
        found = verify_backup(stack, backup.id, deep=True)
        assert found.ok, found.sentences
        yield Row("deep verify of both", found.seconds, DEEP_SECONDS, 1.0, "s")
        print(", ".join(f"{part.kind} back in {part.seconds:.1f} s" for part in found.parts))
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield Row("memory", used, MEMORY, 1.0, "MB")
