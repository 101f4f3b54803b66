"""An exporter is its module and its lines in the registry: without both, all the rest is as it was."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from difflib import unified_diff
from pathlib import Path

import pytest
import yaml

from tests.rendered.compare import BUILD

REPOSITORY = Path(__file__).parents[2]
REGISTRY = "techsapo_ops/services/registry.py"
GONE = "techsapo_ops/services/nginx/exporter.py"
SPEC = {
    "project": "p",
    "engine": "native",
    "mysql": {},
    # One that no test's Docker makes between the two renderings: its group is in the Compose file.
    "schedule": {"docker_socket": "/nobody/has/docker.sock"},
    "monitoring": {"exporters": {"nginx": {"enabled": False}}},
}
"""Every kind but the deleted one."""


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree without the nginx exporter."""
    copy = tmp_path_factory.mktemp("without")
    for name in ("techsapo_ops", "templates"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(REPOSITORY / "pyproject.toml", copy)
    if (cache := REPOSITORY / ".mypy_cache").is_dir():
        shutil.copytree(cache, copy / ".mypy_cache")
    (copy / GONE).unlink()
    lines = (copy / REGISTRY).read_text(encoding="utf-8").splitlines(keepends=True)
    left = [line for line in lines if "NginxExporter" not in line]
    assert len(lines) - len(left) == 2
    (copy / REGISTRY).write_text("".join(left), encoding="utf-8")
    return copy


def rendered(tree: Path, folder: Path) -> dict[str, str]:
    """What `tree` generates in `folder`, for both engines, but for what names the package by its content."""
    (folder / "techsapo.yaml").write_text(yaml.safe_dump(SPEC), encoding="utf-8")
    argv = [sys.executable, "-m", "techsapo_ops", "generate", "--output", str(folder / "out"), "--force"]
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    out = folder / "out"
    (out / ".manifest.json").unlink()  # digests of the others
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    found = {str(p.relative_to(out)): BUILD.sub("<build>", p.read_text(encoding="utf-8")) for p in files}
    shutil.rmtree(out)
    # An image is built from the very tree, and its launcher starts each program.
    own = re.compile(rf'{re.escape(str(tree))}(?="|/techsapo_ops/)')
    return {name: own.sub("<tree>", text) for name, text in found.items()}


def test_specs_without_it_are_rendered_byte_for_byte_as_before(without: Path, tmp_path: Path) -> None:
    before = rendered(REPOSITORY, tmp_path)
    assert len(before) > 10
    after = rendered(without, tmp_path)
    assert list(after) == list(before)
    differing = [
        line
        for name in before
        for line in unified_diff(before[name].split("\n"), after[name].split("\n"), n=0)
    ]
    assert differing == []


def test_no_type_misses_it(without: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy"], cwd=without, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
