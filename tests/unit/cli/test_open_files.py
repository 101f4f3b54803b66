"""Files with secrets that every user of the host may read are told, with the command that ends it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.cli.project import open_files, open_project

SPEC = """\
project: lab
{section}
notifications: {{receivers: {{team: {{kind: slack, url_file: hook}}}}, critical: [team]}}
environments: {{other: {overlay}}}
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A project's folder that everybody may enter; those of pytest are for their owner alone."""
    made = Path(tempfile.mkdtemp(prefix="techsapo-open-"))
    made.chmod(0o755)
    write(made / ".env", "X=1\n", 0o644)
    write(made / "hook", "https://hooks.example.com/x\n", 0o600)
    yield made
    shutil.rmtree(made)


def write(path: Path, text: str, mode: int) -> None:
    path.write_text(text)
    path.chmod(mode)


def spec(folder: Path, section: str = "redis: {port: 1}", overlay: str = "{}", mode: int = 0o644) -> Path:
    write(folder / "techsapo.yaml", SPEC.format(section=section, overlay=overlay), mode)
    return folder / "techsapo.yaml"


def told(file: Path) -> list[str]:
    found = open_files(file, open_project(file).spec)
    return [f"{each.path.name} {each.mode:o}" for each in found]


def test_a_dotenv_that_all_may_read_is_a_warning_with_the_command(folder: Path) -> None:
    (warning,) = open_project(spec(folder)).warnings
    assert str(warning).startswith(".env:1:1 every user of this host can read this file (mode 0644)")
    assert warning.hint == f"chmod 600 {folder / '.env'}"
    (folder / ".env").chmod(0o600)
    assert open_project(spec(folder)).warnings == ()


@each_row(
    "section, overlay, found",
    [
        ("redis: {password: hunter2}", "{}", True),
        ("redis: {port: 1}", "{redis: {password: hunter2}}", True),
        ("redis: {password: '${X}'}", "{redis: {password: '${X}'}}", False),
        ("providers: {a: {kind: openai-compatible, model: m, base_url: 'https://u:p@a/'}, "
         "b: {kind: openai-compatible, model: m, base_url: 'https://a/'}}", "{}", True),
    ],
)  # fmt: skip
def test_a_spec_is_told_where_a_secret_stands_in_it_itself(
    folder: Path, section: str, overlay: str, found: bool
) -> None:
    (folder / ".env").chmod(0o600)
    assert told(spec(folder, section, overlay)) == (["techsapo.yaml 644"] if found else [])
    assert told(spec(folder, section, overlay, mode=0o640)) == []


def test_a_file_of_a_secret_is_told_and_one_in_a_closed_folder_is_not(folder: Path) -> None:
    (folder / "hook").chmod(0o604)
    assert told(spec(folder)) == [".env 644", "hook 604"]
    folder.chmod(0o750)
    assert told(spec(folder)) == []
