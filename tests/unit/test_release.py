"""The parts of `make release`: the same bytes each time, links that work elsewhere, what is no release."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from rows import each_row

from hatch_build import addresses, long_description
from release import __main__ as release
from release import trial
from release.build import ReleaseError, again, build, checksums, digest, run
from release.figures import HEADING, put

ROOT = Path(__file__).parents[2]
HOME = "https://git.example.com/ops/techsapo"


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


def test_no_link_of_its_description_leads_to_a_file_beside(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        (name,) = (n for n in wheel.namelist() if n.endswith("/METADATA"))
        text = wheel.read(name).decode()
    described = text.partition("\n\n")[2]
    assert described.startswith("# TechSapo operations")
    assert "make up" in described
    assert "](docs/" not in described
    assert "](README" not in described


def test_links_become_absolute_where_there_is_an_address() -> None:
    readme = (
        "![up](docs/up.svg) [a [b]](docs/a.md#part) [here](#two) [x](https://x.example/) \n```\n[c](d)\n```\n"
    )
    assert long_description(readme, f"{HOME}/", "v1") == (
        f"![up]({HOME}/raw/v1/docs/up.svg) [a [b]]({HOME}/blob/v1/docs/a.md#part) [here](#two) "
        "[x](https://x.example/) \n```\n[c](d)\n```\n"
    )
    assert addresses(HOME, "v1")["Changelog"] == f"{HOME}/blob/v1/CHANGELOG.md"


def test_without_one_a_link_is_its_words_and_a_picture_is_gone() -> None:
    readme = "one\n\n![up](docs/up.svg)\n\n[two](docs/a.md), [three](https://x.example/)\n"
    assert long_description(readme, "", "v1") == "one\n\ntwo, [three](https://x.example/)\n"
    assert addresses("", "v1") == {}


def test_every_link_of_both_readmes_is_made_absolute() -> None:
    for name in ("README.md", "README.ja.md"):
        text = long_description((ROOT / name).read_text(encoding="utf-8"), HOME, "v1")
        assert "](docs/" not in text
        assert f"]({HOME}/raw/v1/docs/images/up.svg)" in text


def test_checksums_are_what_sha256sum_reads(tmp_path: Path) -> None:
    for name in ("b.whl", "a b.tar.gz"):
        (tmp_path / name).write_text(name)
    (tmp_path / "SHA256SUMS").write_text(checksums([tmp_path / "b.whl", tmp_path / "a b.tar.gz"]))
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "b.whl").write_text("another")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 1


def test_a_python_that_is_not_there_is_named_and_the_others_are_offered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {"3.11": Path(sys.executable), "3.13": None}
    monkeypatch.setattr(trial, "pythons", lambda wanted: {version: found[version] for version in wanted})
    assert release.main([]) == 1
    assert capsys.readouterr().err == (
        "no release: Python 3.13, with its venv module, is not on this host; for the others alone: "
        'make release PYTHONS="3.11"\n'
    )


def test_a_python_is_found_only_where_it_can_make_an_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version, answer in (("3.97", "exit 1"), ("3.98", "echo 3.97"), ("3.99", "echo 3.99")):
        (tmp_path / f"python{version}").write_text(f"#!/bin/sh\n{answer}\n")
        (tmp_path / f"python{version}").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    assert trial.pythons(("3.96", "3.97", "3.98", "3.99")) == {
        "3.96": None, "3.97": None, "3.98": None, "3.99": tmp_path / "python3.99",
    }  # fmt: skip


def test_what_is_not_committed_is_no_release(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trial, "pythons", lambda wanted: dict.fromkeys(wanted, Path(sys.executable)))
    monkeypatch.setattr(release, "uncommitted", lambda: ["techsapo_ops/new.py"])
    assert release.main(["3.11"]) == 1
    assert "not committed: techsapo_ops/new.py" in capsys.readouterr().err


def test_a_command_that_fails_is_told_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"(?s)ended with 3.*why"):
        run(["sh", "-c", "echo why >&2; exit 3"], tmp_path)


@each_row("why", ["degraded", "fails"])
def test_the_stack_of_a_trial_is_ended_whatever_happened(tmp_path: Path, why: str) -> None:
    program = tmp_path / "techsapo"
    bad = 'echo \'{"status": "degraded"}\'' if why == "degraded" else "exit 1"
    program.write_text(
        '#!/bin/sh\necho "$1" >>calls\ncase $1 in init) : >techsapo.yaml;; health) ' + bad + ";; esac\n"
    )
    program.chmod(0o755)
    (tmp_path / "stack").mkdir()
    with pytest.raises(ReleaseError, match=why if why == "degraded" else "health"):
        trial.floor(program, tmp_path / "stack")
    called = (tmp_path / "stack" / "calls").read_text().split()
    assert called == ["init", "validate", "generate", "up", "health", "down"]


def test_figures_take_the_place_of_the_last_ones_and_of_nothing_else() -> None:
    first = put("# M\n\n## A\n\na\n", f"{HEADING}\n\none\n")
    assert first == f"# M\n\n## A\n\na\n\n{HEADING}\n\none\n"
    between = f"{first}\n## B\n\nb\n"
    assert put(between, f"{HEADING}\n\ntwo\n") == between.replace("one", "two")
