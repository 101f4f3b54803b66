"""What is handed on when the package is built."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source archive."""
    folder = tmp_path_factory.mktemp("built")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, source


def test_wheel_and_source_carry_the_licence_and_name_it(built: tuple[Path, Path]) -> None:
    wheel_file, source_file = built
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


def test_a_wheel_has_the_runbooks_and_shows_them(built: tuple[Path, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        wheel.extractall(tmp_path / "installed")  # noqa: S202 - what we built just now
    show = (
        "import techsapo_ops, sys; sys.argv = ['techsapo', 'runbook', 'AppDown', '--lang', 'ja']\n"
        "from techsapo_ops.cli.main import main\n"
        "from techsapo_ops.serve.runbook_pages import _page\n"
        "print(techsapo_ops.__file__, _page('AppDown', 'en', '', several=False)[0].decode())\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", show], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(tmp_path / "installed"), "PATH": ""},
    )  # fmt: skip
    assert done.stdout.startswith(str(tmp_path / "installed"))
    assert "<h1>AppDown</h1>" in done.stdout
    page = (ROOT / "techsapo_ops/catalogue/runbooks/AppDown.md").read_text(encoding="utf-8")
    assert page.partition("## 意味")[2].partition("## English")[0].strip() in done.stdout
