"""Nobody else may open a lock file: whoever reads one could hold the lock for ever."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from techsapo_ops.adapters.lock import exclusive, held
from techsapo_ops.errors import OpsError


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_another_user_of_this_host_can_not_take_it() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # pytest's own is closed to others
        Path(folder).chmod(0o755)
        path = Path(folder) / "lock"
        path.touch()
        path.chmod(0o644)  # as versions before made it
        with exclusive(path):
            pass
        assert path.stat().st_mode & 0o777 == 0o600
        taken = ["/bin/cat", str(path)]
        done = subprocess.run(
            taken, user=65534, group=65534, extra_groups=[], capture_output=True, timeout=60, check=False
        )
        assert b"Permission denied" in done.stderr
        with exclusive(path):
            assert held(path)
        assert not held(path)


def test_a_new_one_is_its_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    with exclusive(path):
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(OpsError), exclusive(path):
            pass
