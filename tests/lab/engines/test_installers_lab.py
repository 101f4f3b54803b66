"""What docs/install.md says to type, typed: uv and pipx, with the wheel as it is built here.

That pip makes an environment of it is `make release`'s to prove.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from release.build import build, checksums
from rows import each_row

import techsapo_ops

ROOT = Path(__file__).parents[3]
PAGES = ("docs/install.md", "docs/install.ja.md")
_FENCE = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
_OURS = ("make ", "techsapo ")
"""make up is the newcomer's test, and what techsapo does without parts the embedded floor's."""


def blocks(page: str) -> list[str]:
    """The blocks of a page that are about installing."""
    found = _FENCE.findall((ROOT / page).read_text(encoding="utf-8"))
    return [block for block in found if not block.startswith(_OURS)]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with dist/ in it."""
    folder = tmp_path_factory.mktemp("release")
    files = build(folder / "dist")
    (folder / "dist" / "SHA256SUMS").write_text(checksums(files))
    return folder


def typed(block: str, release: Path, home: Path) -> str:
    """Run a block with a home, an /opt and a /usr/local of its own; what it said."""
    made = home / "of-root"
    script = block.replace("sudo ", "").replace("~/", f"{home}/")
    script = script.replace("=/opt/", f"={made}/opt/").replace("=/usr/local/", f"={made}/usr/local/")
    done = subprocess.run(
        ["bash", "-euc", script], cwd=release, capture_output=True, text=True, check=False, timeout=400,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PIP_NO_COMPILE": "1",
            "UV_TOOL_DIR": str(home / "uv"), "UV_TOOL_BIN_DIR": str(home / ".local/bin"),
            "UV_PYTHON_DOWNLOADS": "never", "PIPX_HOME": str(home / "pipx"),
            "PIPX_BIN_DIR": str(home / ".local/bin"), "PIPX_MAN_DIR": str(home / "man"),
            "PIPX_GLOBAL_HOME": f"{made}/opt/pipx", "PIPX_GLOBAL_BIN_DIR": f"{made}/usr/local/bin",
            "PIPX_GLOBAL_MAN_DIR": f"{made}/usr/local/man",
        },
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def version(program: Path) -> str:
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True, env={"PATH": ""}, cwd="/"
    )
    return done.stdout.strip()


def test_both_pages_show_the_same_and_name_this_version() -> None:
    assert blocks(PAGES[0]) == blocks(PAGES[1])
    named = {
        found for page in PAGES for found in re.findall(r"techsapo_ops-([\d.]+)-py3", "".join(blocks(page)))
    }
    assert named == {techsapo_ops.__version__}


def test_the_checksums_are_checked(release: Path, tmp_path: Path) -> None:
    (block,) = (block for block in blocks(PAGES[0]) if "sha256sum" in block)
    assert typed(block, release, tmp_path).count(": OK") == 2


@each_row("installer", ["uv tool"])
def test_an_installer_brings_the_command_replaces_and_removes_it(
    release: Path, tmp_path: Path, installer: str
) -> None:
    install, replace = (
        block for block in blocks(PAGES[0]) if block.startswith(f"{installer} ") and "sudo" not in block
    )
    (remove,) = re.findall(rf"`({installer} uninstall [^`]+)`", (ROOT / PAGES[0]).read_text(encoding="utf-8"))
    typed(install, release, tmp_path)
    program = tmp_path / ".local/bin/techsapo"
    assert version(program) == f"techsapo {techsapo_ops.__version__}"
    manual = tmp_path / "man" / "man1" / "techsapo-up.1"
    assert manual.exists() == (installer == "pipx")
    typed(replace, release, tmp_path)
    assert version(program) == f"techsapo {techsapo_ops.__version__}"
    typed(remove, release, tmp_path)
    assert not program.exists()


@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="needs Debian's own python3")
@each_row("installer", ["pipx"])
def test_as_root_nothing_of_it_is_in_a_home(release: Path, tmp_path: Path, installer: str) -> None:
    (block,) = (block for block in blocks(PAGES[0]) if "sudo" in block and installer in block)
    typed(block, release, tmp_path)
    program = tmp_path / "of-root/usr/local/bin/techsapo"
    assert version(program) == f"techsapo {techsapo_ops.__version__}"
    assert str(tmp_path / "of-root/opt") in str(program.resolve())
    python = program.resolve().parent / "python"
    assert str(python.resolve()).startswith("/usr/bin/python3")
