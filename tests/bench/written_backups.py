"""Backups under 500 writes a second with keys that expire: no false alarm, and nothing missed."""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from techsapo_ops.adapters.packed import PackedReader
from tests.bench.row import Row

RUNS = 20
RATE = 500.0
_START_ROWS = 20_000


class Writer:
    """Calls `write` with 0, 1, 2 …, half of RATE times a second, until it is ended."""

    def __init__(self, write: Callable[[int], object]) -> None:
        self.count = 0
        self._write_one = write
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        began = time.monotonic()
        while not self._ended.is_set():
            self._write_one(self.count)
            self.count += 1
            self._ended.wait(max(0.0, began + 2 * self.count / RATE - time.monotonic()))

    @contextmanager
    def writing(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()


def run(runs: int = RUNS) -> Iterator[Row]:
    """Each run writes a nonce just before its dump, verifies deeply, and looks for it in restored servers."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "lab"))
    import pymysql
    import redis
    from backup_lab import Root, forged, stack_of
    from projects import only_redis, project
    from servers import free_port

    from techsapo_ops.backup.create import create_backup
    from techsapo_ops.backup.restore.intent import intend, into_scratch
    from techsapo_ops.backup.verify import verify_backup

    spec = only_redis(redis={"port": free_port(), "accounts": False}, mysql={"port": free_port()})
    alarms: list[str] = []
    lost = 0
    with project(spec) as made:
        made.run("up")
        stack = stack_of(made)
        root = Root(made)
        keys = redis.Redis(port=made.spec["redis"]["port"])
        with root as sql:
            sql.execute("CREATE TABLE written (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(80))")
            sql.execute(f"INSERT INTO written (text) SELECT UUID() FROM seq_1_to_{_START_ROWS}")
            keys.mset({f"k{n}": n for n in range(5000)})

            def write_row(number: int) -> None:
                if number % 2:
                    sql.execute("INSERT INTO written (text) VALUES (%s)", (str(number),))
                else:
                    changed = (str(number), 1 + number % 999)
                    sql.execute("UPDATE written SET text = %s WHERE id = %s", changed)

            def write_key(number: int) -> None:
                keys.set(f"short{number}", number, px=200 + number % 800)

            rows, expiring = Writer(write_row), Writer(write_key)
            began = time.monotonic()
            with rows.writing(), expiring.writing(), Root(made) as other:
                for _ in range(runs):
                    nonce = uuid.uuid4().hex
                    keys.set("nonce", nonce)
                    other.execute("INSERT INTO written (text) VALUES (%s)", (nonce,))
                    backup = create_backup(stack, only=("redis", "mysql")).backup
                    alarms += verify_backup(stack, backup.id, deep=True).sentences
                    intent = intend(stack, backup.id)
                    with into_scratch(stack, intent, lambda _kind, _count: None) as there:
                        cache = redis.Redis(
                            port=there["redis"].address.port,
                            password=there["redis"].password.reveal(),  # type: ignore[union-attr] # it has one
                        )
                        lost += cache.get("nonce") != nonce.encode()
                        server = there["mysql"]
                        assert server.password is not None
                        with pymysql.connect(
                            host=server.address.host, port=server.address.port, user=server.user,
                            password=server.password.reveal(), database="techsapo_audit",
                        ) as found, found.cursor() as asking:  # fmt: skip
                            lost += not asking.execute("SELECT 1 FROM written WHERE text = %s", (nonce,))
            rate = (rows.count + expiring.count) / (time.monotonic() - began)
        for alarm in alarms:
            print(alarm)
        part = backup.read().part("mysql")
        assert part is not None
        whole = b"".join(PackedReader(backup.folder / part.file))
        at = whole.index(b"'", whole.index(b"INSERT INTO `written`")) + 1
        changed = whole[:at] + (b"0" if whole[at : at + 1] != b"0" else b"1") + whole[at + 1 :]
        copied = forged(backup, stack, made.directory / "forged", "mysql", changed)
        caught = "table written has different contents" in " ".join(
            verify_backup(copied, backup.id, deep=True).sentences
        )
    print(f"{runs} backups, each verified deeply, under {rate:.0f} writes a second")
    yield Row("writes short of the rate", max(0.0, RATE - rate), RATE, 0.05, "/s")
    yield Row("false alarms", len(alarms), runs, 0.0, "")
    yield Row("nonces not restored", lost, 2 * runs, 0.0, "")
    yield Row("changed row missed", not caught, 1, 0.0, "")
