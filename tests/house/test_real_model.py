"""What `make real-model` fetches is pinned: a version and digests for each, and no address of a registry."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from rows import each_row

FOLDER = Path(__file__).parents[1] / "real_model"
_PIN = re.compile(r"[a-z0-9-]+==[0-9.]+( --hash=sha256:[0-9a-f]{64})+")


@each_row("name", ["tools.txt", "model.txt"])
def test_everything_that_is_fetched_has_a_version_and_digests(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8")
    assert "://" not in text
    joined = re.sub(r"\\\n\s*", "", "".join(f"{line}\n" for line in text.splitlines() if line[:1] != "#"))
    pins = joined.strip().splitlines()
    assert pins
    for pin in pins:
        assert _PIN.fullmatch(pin), pin


def test_what_is_built_stays_out_of_git() -> None:
    assert ".real-model/" in (FOLDER.parents[1] / ".gitignore").read_text("utf-8").splitlines()


@each_row("option", ["--server", "--model"])
def test_a_server_that_is_built_already_comes_with_its_model(option: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.real_model", option, str(tmp_path / "x")]
    done = subprocess.run(argv, cwd=FOLDER.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--server and --model belong together" in done.stderr
