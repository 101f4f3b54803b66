"""The build that a process runs, and the wheel that is made of it: what changes it, and what does not."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops import __version__
from techsapo_ops.adapters import build
from techsapo_ops.adapters.build import is_other, note, noted, read_content
from techsapo_ops.adapters.wheel import write_wheel
from techsapo_ops.errors import OpsError

LOCK = "PyYAML==6.0.3 \\\n    --hash=sha256:00\ntyping_extensions==4.15.0 \\\n    --hash=sha256:00\n"


def checkout_in(tmp_path: Path) -> Path:
    """The package's folder in a checkout."""
    package = tmp_path / "checkout/pkg"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("one = 1\n")
    (package / "inner/code.py").write_text("two = 2\n")
    (package.parent / "templates").mkdir()
    (package.parent / "templates/a.j2").write_text("{{ a }}\n")
    (package.parent / ".ci").mkdir()
    (package.parent / ".ci/requirements.lock").write_text(LOCK)
    return package


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return checkout_in(tmp_path)


def digest(package: Path) -> str:
    return read_content(package).digest


def test_a_wheel_and_an_image_hold_the_same_code_as_their_checkout(checkout: Path, tmp_path: Path) -> None:
    wheel = shutil.copytree(checkout, tmp_path / "site-packages/pkg")
    shutil.copytree(checkout.parent / "templates", wheel / "_templates")
    shutil.copy(checkout.parent / ".ci/requirements.lock", wheel / "_requirements.lock")
    (tmp_path / "site-packages/templates").mkdir()  # another package's, beside a wheel's
    (tmp_path / "site-packages/templates/b.j2").write_text("not ours")
    image = shutil.copytree(
        wheel, tmp_path / "opt/pkg"
    )  # made from a wheel: the lock file lies beside it too
    (image.parent / ".ci").mkdir()
    shutil.copy(wheel / "_requirements.lock", image.parent / ".ci/requirements.lock")
    assert digest(checkout) == digest(wheel) == digest(image)
    assert read_content(wheel).locked == {"pyyaml", "typing-extensions"}


CHANGES: dict[str, Callable[[Path], object]] = {
    "code": lambda p: (p / "inner/code.py").write_text("two = 3\n"),
    "a new file": lambda p: (p / "new.py").write_text(""),
    "a removed file": lambda p: (p / "inner/code.py").unlink(),
    "a renamed file": lambda p: (p / "inner/code.py").rename(p / "inner/edoc.py"),
    "a template": lambda p: (p.parent / "templates/a.j2").write_text("{{ b }}\n"),
    "the lock file": lambda p: (p.parent / ".ci/requirements.lock").write_text(LOCK + "orjson==3.11.0\n"),
}
NOTHING: dict[str, Callable[[Path], object]] = {
    "touch": lambda p: (p / "inner/code.py").touch(),
    "the same content written again": lambda p: (p / "inner/code.py").write_text("two = 2\n"),
    "what Python compiled": lambda p: [(p / "__pycache__").mkdir(), (p / "__pycache__/a.pyc").touch()],
    "an editor's files": lambda p: [(p / ".code.py.swp").touch(), (p / "code.py~").touch()],
    "the mode": lambda p: (p / "inner/code.py").chmod(0o600),
}


@each_row("what", [*CHANGES, *NOTHING])
def test_a_change_of_the_content_and_no_other_one_is_another_build(tmp_path: Path, what: str) -> None:
    checkout = checkout_in(tmp_path)
    before = digest(checkout)
    {**CHANGES, **NOTHING}[what](checkout)
    assert (digest(checkout) != before) is (what in CHANGES)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site-packages"
    for name in ("PyYAML-6.0.3.dist-info", "typing_extensions-4.15.0.dist-info", "pip-26.0.dist-info"):
        (folder / name).mkdir(parents=True)
    return folder


def base(site: Path) -> str:
    return build._base(
        frozenset({"pyyaml", "typing-extensions", "gone"}), [str(site), "/nowhere/site-packages"]
    )


def test_an_upgraded_dependency_is_another_build(site: Path) -> None:
    before = base(site)
    (site / "PyYAML-6.0.3.dist-info").rename(site / "pyyaml-6.0.4.dist-info")
    assert base(site) != before
    (site / "pyyaml-6.0.4.dist-info").rename(site / "pyyaml-6.0.3.dist-info")
    assert base(site) == before, "an installer may spell the name in another way"


def test_a_build_names_its_version_and_the_package_finds_its_dependencies() -> None:
    assert build.build().startswith(f"{__version__}+")
    assert {"pyyaml", "typer", "fastapi", "supervisor"} <= build.content().locked
    assert build.build().startswith(build.code() + ".")


@each_row(
    "told, elsewhere, other",
    [
        ("{build}", False, False),
        ("{code}.000000", False, True),
        ("{code}.000000", True, False),
        ("{code}", False, False),
        ("9.9.9+0000000000.000000", True, True),
    ],
)
def test_what_runs_elsewhere_is_compared_by_its_code(told: str, elsewhere: bool, other: bool) -> None:
    text = told.format(build=build.build(), code=build.code())
    assert is_other(text, elsewhere=elsewhere) is other


def test_a_note_counts_for_the_process_that_wrote_it_and_is_no_link_and_no_pipe(tmp_path: Path) -> None:
    note(tmp_path / "build")
    (tmp_path / "link").symlink_to(tmp_path / "build")
    os.mkfifo(tmp_path / "pipe")
    own = os.getpid()
    assert noted(tmp_path / "build", own) == build.build()
    for name, pid in (("build", own + 1), ("build", None), ("absent", own), ("link", own), ("pipe", own)):
        assert noted(tmp_path / name, pid) == "", name


@each_row("text", ["", "\x1b[31m\n", "{pid} 0.2.0+a\x1b[31m\n", "{pid} 0.2.0", "{pid} " + "9" * 500])
def test_a_note_of_another_form_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "build").write_text(text.format(pid=os.getpid()))
    assert noted(tmp_path / "build", os.getpid()) == ""


def test_a_file_that_goes_while_a_pull_is_at_work_is_looked_for_again(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, files, gone = digest(checkout), build.files_of, [("pkg/gone.py", checkout / "gone.py")]
    monkeypatch.setattr(build, "files_of", lambda package: [*files(package), *(gone.pop() for _ in gone[:1])])
    assert digest(checkout) == whole
    monkeypatch.setattr(build, "files_of", lambda _: [("pkg/gone.py", checkout / "gone.py")])
    with pytest.raises(OpsError, match="changed while techsapo was reading it"):
        read_content(checkout)


def test_another_build_says_what_of_it_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "code", lambda: "0.2.0+aaaaaaaaaa")
    monkeypatch.setattr(build, "build", lambda: "0.2.0+aaaaaaaaaa.1111222222")
    assert build.difference("0.2.0+bbbbbbbbbb.1111222222") == "different code"
    assert build.difference("0.2.0+aaaaaaaaaa.9999222222") == "the same code on another Python"
    assert build.difference("0.2.0+aaaaaaaaaa.1111999999") == "the same code, with other Python packages"
    both = build.difference("0.2.0+aaaaaaaaaa.9999999999")
    assert both == "the same code on another Python, with other Python packages"
    assert build.difference("") == "the running program does not report its build"


def test_it_is_the_same_code_with_its_locks_templates_and_entry_points_byte_for_byte(tmp_path: Path) -> None:
    wheel, facts = write_wheel(tmp_path), f"techsapo_ops-{__version__}.dist-info"
    (tmp_path / "other").mkdir()
    assert wheel.read_bytes() == write_wheel(tmp_path / "other").read_bytes()
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "installed")
        names = set(packed.namelist())
    assert read_content(tmp_path / "installed/techsapo_ops").digest == build.content().digest
    assert names >= {
        "techsapo_ops/_requirements.lock", "techsapo_ops/_requirements-otel.lock",
        "techsapo_ops/_templates/nginx/nginx.conf.j2",
        f"{facts}/entry_points.txt", f"{facts}/licenses/LICENSE", f"{facts}/RECORD",
    }  # fmt: skip
