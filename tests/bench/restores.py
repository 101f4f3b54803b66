"""Restores against `mariadb < dump` at the same settings."""

from __future__ import annotations

import resource
from collections.abc import Iterator

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.services.mysql.dump import load
from tests.bench.backup_servers import ROWS, STAMP, filled, shell, timed
from tests.bench.backups import MEMORY
from tests.bench.row import Row

GUIDE_MINUTES = 15


def run(rows: int = ROWS) -> Iterator[Row]:
    """A million rows, once each: a run takes a quarter of a minute and more."""
    with filled(rows, 0) as made:
        folder = made.folder()
        part = made.mysql.take(folder, STAMP, lambda _: None)
        plain = made.top / "plain.sql"
        with plain.open("wb") as file:
            file.writelines(PackedReader(folder / part.file))
        shell(f"mariadb {made.login} -e 'CREATE DATABASE raw'")
        raw = timed(lambda: shell(f"mariadb {made.login} raw < {plain}"))
        restored = timed(lambda: load(made.database, "b", PackedReader(folder / part.file), lambda _: None))
        yield Row("MariaDB restore", restored, raw, 1.15, "s")
        rate = part.raw_bytes / restored * 60 / 1e9
        print(f"restores {rate:.2f} GB a minute: {GUIDE_MINUTES * rate:.0f} GB within the guide's 15 minutes")
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield Row("memory", used, MEMORY, 1.0, "MB")
