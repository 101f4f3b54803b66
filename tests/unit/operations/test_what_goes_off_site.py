"""What is noted of a file that goes off-site."""

from __future__ import annotations

import tempfile
from pathlib import Path

from techsapo_ops.backup.description import What
from techsapo_ops.operations.backup.describing import kept_at


def test_a_file_that_a_folder_keeps_from_others_stays_kept_from_them() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # pytest's own is closed to others
        secret = Path(folder) / "password"
        secret.touch()
        secret.chmod(0o644)
        modes = []
        for mode in (0o755, 0o700):
            Path(folder).chmod(mode)
            kept = kept_at(secret, What.SECRET)
            assert kept is not None
            modes.append(kept.mode)
    assert modes == [0o644, 0o640]
