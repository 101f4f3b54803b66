"""A MariaDB with audit rows and a Redis with random values, for benches of backups."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.services.mysql.dump import MysqlSource
from techsapo_ops.services.redis.backup import RedisSource
from techsapo_ops.stack.backup import Door

ROWS = 1_000_000
MEGABYTES = 500
STAMP = "20260101T000000Z"
_TABLE = (
    "CREATE DATABASE a; USE a; CREATE TABLE audit (id INT PRIMARY KEY, at DATETIME, who VARCHAR(40), "
    "what VARCHAR(200), tokens INT); INSERT INTO audit SELECT seq, NOW(), UUID(), "
    "CONCAT(SHA1(seq), SHA1(seq + 1), ' analysis'), seq % 999 FROM seq_1_to_"
)
_FILL = (
    "for i = 1, {count} do local v = '' for j = 1, 24 do v = v .. redis.sha1hex(i * 99 + j) end "
    "redis.call('SET', 'k' .. i, v) end"
)


@dataclass(frozen=True)
class Filled:
    """The two servers: folders below `top`, what `mariadb` and `redis-cli` are called with, doors."""

    top: Path
    login: str
    port: int
    database: Door
    cache: Door

    @property
    def mysql(self) -> MysqlSource:
        return MysqlSource(self.database, "a")

    @property
    def redis(self) -> RedisSource:
        return RedisSource(self.cache)

    def folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.top))


@contextmanager
def filled(rows: int, megabytes: int) -> Iterator[Filled]:
    """Both servers with their data; no data where a number is 0."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "lab"))
    import servers

    with (
        tempfile.TemporaryDirectory() as name,
        servers.mariadb(Path(name) / "m") as mysql,
        servers.redis(Path(name) / "r") as redis,
    ):
        login = f"--no-defaults --protocol=tcp -h 127.0.0.1 -P {mysql.port} -u root -p{mysql.password}"
        if rows:
            shell(f'mariadb {login} -e "{_TABLE}{rows}"')
        if megabytes:
            fill_redis(redis.port, megabytes)
        shell(f"redis-cli -p {redis.port} CONFIG SET repl-diskless-sync-delay 0")
        options = (
            "--no-defaults", "--protocol=tcp", "--host=127.0.0.1", f"--port={mysql.port}", "--user=root",
        )  # fmt: skip
        database = Door(SubprocessRunner(), options=options, env={"MYSQL_PWD": mysql.password or ""})
        cache = Door(SubprocessRunner(), options=("-h", "127.0.0.1", "-p", str(redis.port)))
        yield Filled(Path(name), login, redis.port, database, cache)


def fill_redis(port: int, megabytes: int) -> None:
    """Give the Redis at `port` keys of 1 KB."""
    shell(f'redis-cli -p {port} EVAL "{_FILL.format(count=megabytes * 1024)}" 0')


def best(ours: Callable[[], object], baseline: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the better of two runs of each, in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(2):
        for seconds, work in zip(times, (ours, baseline), strict=True):
            seconds.append(timed(work))
    return min(times[0]), min(times[1])


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def shell(script: str) -> None:
    """Run a script of sh. Raises CalledProcessError."""
    subprocess.run(["sh", "-ec", script], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
