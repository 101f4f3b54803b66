"""What is handed on when the package is built."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_wheel_and_source_carry_the_licence_and_name_it(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel_file,), (source_file,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    licence = (ROOT / "LICENSE").read_bytes()
    with zipfile.ZipFile(wheel_file) as wheel:
        (folder,) = {n.split("/")[0] for n in wheel.namelist() if ".dist-info/" in n}
        assert wheel.read(f"{folder}/licenses/LICENSE") == licence
        metadata = wheel.read(f"{folder}/METADATA").decode()
    assert "License-Expression: Apache-2.0\n" in metadata
    assert "License-File: LICENSE\n" in metadata
    with tarfile.open(source_file) as source:
        found = source.extractfile(f"{source_file.name.removesuffix('.tar.gz')}/LICENSE")
        assert found is not None
        assert found.read() == licence
