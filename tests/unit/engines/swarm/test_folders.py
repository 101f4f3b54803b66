"""What the volumes of several machines are filled with."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from techsapo_ops.engines.swarm.folders import Folder, _packed


def test_a_key_is_its_services_alone_and_a_certificate_may_be_read_by_who_asks_as_root(
    tmp_path: Path,
) -> None:
    for name, mode in (("key.pem", 0o600), ("ca.pem", 0o644)):
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(mode)
    packed, names = _packed([Folder("redis-a", "redis-a-tls", tmp_path, 999)])
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        found = {entry.name: (entry.mode, entry.uid) for entry in tar}
    assert names == ("redis-a-tls",)
    assert found == {
        "redis-a-tls": (0o555, 999),
        "redis-a-tls/ca.pem": (0o444, 999),
        "redis-a-tls/key.pem": (0o400, 999),
    }
