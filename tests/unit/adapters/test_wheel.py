"""The wheel that is made of the package as it is installed."""

from __future__ import annotations

import zipfile
from pathlib import Path

from techsapo_ops import __version__
from techsapo_ops.adapters import build
from techsapo_ops.adapters.build import read_content
from techsapo_ops.adapters.wheel import write_wheel


def test_it_is_the_same_code_with_its_locks_templates_and_entry_points_byte_for_byte(tmp_path: Path) -> None:
    wheel, facts = write_wheel(tmp_path), f"techsapo_ops-{__version__}.dist-info"
    (tmp_path / "other").mkdir()
    assert wheel.read_bytes() == write_wheel(tmp_path / "other").read_bytes()
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "installed")
        names = set(packed.namelist())
    assert read_content(tmp_path / "installed/techsapo_ops").digest == build.content().digest
    assert names >= {
        "techsapo_ops/_requirements.lock", "techsapo_ops/_requirements-otel.lock",
        "techsapo_ops/_templates/nginx/nginx.conf.j2",
        f"{facts}/entry_points.txt", f"{facts}/licenses/LICENSE", f"{facts}/RECORD",
    }  # fmt: skip
