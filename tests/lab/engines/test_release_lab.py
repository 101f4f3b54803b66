"""What `make release` and `make sbom` hand on: the same bytes each time, with all that belongs to it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from release.build import again, build, digest, run

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[3]
LOCKED = re.compile(r"^([a-z0-9-]+)==(\S+) \\$", re.MULTILINE)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the repository where no other test writes beside them."""
    folder = tmp_path_factory.mktemp("tree")
    for name in run(["git", "ls-files", "-co", "--exclude-standard", "-z"], ROOT).split("\0")[:-1]:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def built(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Wheel and source archive."""
    folder = tmp_path_factory.mktemp("release")
    source, wheel = sorted(build(folder, root=tree), key=lambda path: path.suffix)
    return wheel, source


def test_a_build_is_the_same_each_time_and_so_is_the_wheel_of_the_source_archive(
    tree: Path, built: tuple[Path, Path], tmp_path: Path
) -> None:
    wheel, source = built
    assert [digest(path) for path in sorted(build(tmp_path / "second", root=tree), reverse=True)] == [
        digest(path) for path in sorted(built, reverse=True)
    ]
    (tmp_path / "work").mkdir()
    assert digest(again(source, tmp_path / "work")) == digest(wheel)


def test_an_index_takes_it_with_its_licence_and_no_link_of_it_leads_to_a_file_beside(
    built: tuple[Path, Path],
) -> None:
    run([sys.executable, "-m", "twine", "check", "--strict", *map(str, built)], ROOT)
    licence = (ROOT / "LICENSE").read_bytes()
    with zipfile.ZipFile(built[0]) as wheel:
        (name,) = (n for n in wheel.namelist() if n.endswith("/METADATA"))
        assert wheel.read(name.replace("METADATA", "licenses/LICENSE")) == licence
        metadata, _, described = wheel.read(name).decode().partition("\n\n")
    assert "License-Expression: Apache-2.0\nLicense-File: LICENSE\n" in metadata
    assert "](docs/" not in described
    assert "](README" not in described
    with tarfile.open(built[1]) as source:
        found = source.extractfile(f"{built[1].name.removesuffix('.tar.gz')}/LICENSE")
        assert found is not None
        assert found.read() == licence


def test_a_wheel_has_the_runbooks_and_shows_them(built: tuple[Path, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        wheel.extractall(tmp_path / "installed")  # noqa: S202 - what we built just now
    show = (
        "import techsapo_ops, sys; sys.argv = ['techsapo', 'alerts', 'runbook', 'AppDown', '--lang', 'ja']\n"
        "from techsapo_ops.cli.main import main\n"
        "from techsapo_ops.serve.pages.help_pages import _runbook\n"
        "print(techsapo_ops.__file__, _runbook('AppDown', 'en', '', 0)[0].decode())\n"
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


@pytest.mark.nightly
def test_the_list_of_parts_is_that_of_the_lock_the_same_each_time_and_without_this_machine(
    tmp_path: Path,
) -> None:
    made = []
    for name in ("a.json", "b.json"):
        subprocess.run(["make", "--silent", "sbom", f"SBOM={tmp_path / name}"], check=True, cwd=ROOT)
        made.append((tmp_path / name).read_text())
    assert made[0] == made[1]
    assert str(ROOT) not in made[0]
    document = json.loads(made[0])
    assert (document["bomFormat"], document["metadata"]["component"]["name"]) == ("CycloneDX", "techsapo-ops")
    parts = {part["name"]: part for part in document["components"]}
    locked = dict(LOCKED.findall((ROOT / ".ci/requirements.lock").read_text()))
    assert {name: part["version"] for name, part in parts.items()} == locked
    for name, part in parts.items():
        assert part["purl"] == f"pkg:pypi/{name}@{locked[name]}"
        assert all(r["hashes"] for r in part["externalReferences"] if r["type"] == "distribution")
