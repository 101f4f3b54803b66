"""The wheel that is made of the package as it is installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from techsapo_ops import __version__
from techsapo_ops.adapters import build
from techsapo_ops.adapters.build import read_content
from techsapo_ops.adapters.wheel import write_wheel


def test_pip_installs_it_and_the_same_code_runs(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path)
    installed = tmp_path / "installed"
    argv = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", installed]
    subprocess.run([*argv, wheel], check=True, timeout=120)
    assert read_content(installed / "techsapo_ops", None).digest == build.content().digest
    assert (installed / f"techsapo_ops-{__version__}.dist-info/entry_points.txt").is_file()
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import techsapo_ops; print(techsapo_ops.__file__)"],
        env={"PYTHONPATH": str(installed)}, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(done.stdout.strip()).is_relative_to(installed)


def test_the_same_package_is_the_same_wheel_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert write_wheel(tmp_path).read_bytes() == write_wheel(tmp_path / "other").read_bytes()


def test_it_carries_both_locks_the_templates_and_the_licence(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_wheel(tmp_path)) as wheel:
        names = set(wheel.namelist())
    assert {"techsapo_ops/_requirements.lock", "techsapo_ops/_requirements-otel.lock"} <= names
    assert "techsapo_ops/_templates/nginx/nginx.conf.j2" in names
    assert f"techsapo_ops-{__version__}.dist-info/licenses/LICENSE" in names
