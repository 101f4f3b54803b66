"""The parts of `make release`; tests/lab/engines/test_release_lab.py has what it builds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hatch_build import MAN, ManPages, addresses, long_description
from release import __main__ as release
from release import trial
from release.build import ReleaseError, checksums
from release.figures import HEADING, put
from rows import each_row

ROOT = Path(__file__).parents[2]
HOME = "https://git.example.com/ops/techsapo"


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


def test_man_pages_are_in_a_wheel_where_they_were_made_and_a_clean_clone_builds_without(
    tmp_path: Path,
) -> None:
    def installed() -> dict[str, str]:
        data: dict[str, dict[str, str]] = {"shared_data": {}}
        ManPages(str(tmp_path), {}, None, None, str(tmp_path), "wheel").initialize("standard", data)  # type: ignore[arg-type]
        return data["shared_data"]

    assert installed() == {}
    (tmp_path / MAN).mkdir(parents=True)
    assert installed() == {MAN: "share/man/man1"}


def test_checksums_are_what_sha256sum_reads(tmp_path: Path) -> None:
    for name in ("b.whl", "a b.tar.gz"):
        (tmp_path / name).write_text(name)
    (tmp_path / "SHA256SUMS").write_text(checksums([tmp_path / "b.whl", tmp_path / "a b.tar.gz"]))
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "b.whl").write_text("another")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 1


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
    assert called == ["init", "validate", "config", "up", "health", "down"]


def test_figures_take_the_place_of_the_last_ones_and_of_nothing_else() -> None:
    first = put("# M\n\n## A\n\na\n", f"{HEADING}\n\none\n")
    assert first == f"# M\n\n## A\n\na\n\n{HEADING}\n\none\n"
    between = f"{first}\n## B\n\nb\n"
    assert put(between, f"{HEADING}\n\ntwo\n") == between.replace("one", "two")
