"""The build that a process runs: what changes it, what does not, and whom its cache trusts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops import __version__
from techsapo_ops.adapters import build
from techsapo_ops.adapters.build import Content, is_other, note, noted, read_content
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
    (package.parent / "requirements.lock").write_text(LOCK)
    return package


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return checkout_in(tmp_path)


def cache_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that also keeps what was written a moment ago, as these files were."""
    monkeypatch.setattr(build, "_FRESH_NS", -(10**12))
    folder = tmp_path / "home/.cache/techsapo"
    folder.parent.mkdir(parents=True)
    return folder


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return cache_in(tmp_path, monkeypatch)


def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> Content:
        raise AssertionError("the files were read again")

    monkeypatch.setattr(build, "_read", refuse)


def digest(package: Path, kept: Path | None = None) -> str:
    return read_content(package, kept).digest


def test_a_wheel_and_an_image_hold_the_same_code_as_their_checkout(checkout: Path, tmp_path: Path) -> None:
    wheel = shutil.copytree(checkout, tmp_path / "site-packages/pkg")
    shutil.copytree(checkout.parent / "templates", wheel / "_templates")
    shutil.copy(checkout.parent / "requirements.lock", wheel / "_requirements.lock")
    (tmp_path / "site-packages/templates").mkdir()  # another package's, beside a wheel's
    (tmp_path / "site-packages/templates/b.j2").write_text("not ours")
    image = shutil.copytree(
        wheel, tmp_path / "opt/pkg"
    )  # made from a wheel: the lock file lies beside it too
    shutil.copy(wheel / "_requirements.lock", image.parent / "requirements.lock")
    assert digest(checkout) == digest(wheel) == digest(image)
    assert read_content(wheel, None).locked == {"pyyaml", "typing-extensions"}


CHANGES: dict[str, Callable[[Path], object]] = {
    "code": lambda p: (p / "inner/code.py").write_text("two = 3\n"),
    "a new file": lambda p: (p / "new.py").write_text(""),
    "a removed file": lambda p: (p / "inner/code.py").unlink(),
    "a renamed file": lambda p: (p / "inner/code.py").rename(p / "inner/edoc.py"),
    "a template": lambda p: (p.parent / "templates/a.j2").write_text("{{ b }}\n"),
    "the lock file": lambda p: (p.parent / "requirements.lock").write_text(LOCK + "orjson==3.11.0\n"),
}
NOTHING: dict[str, Callable[[Path], object]] = {
    "touch": lambda p: (p / "inner/code.py").touch(),
    "the same content written again": lambda p: (p / "inner/code.py").write_text("two = 2\n"),
    "what Python compiled": lambda p: [(p / "__pycache__").mkdir(), (p / "__pycache__/a.pyc").touch()],
    "an editor's files": lambda p: [(p / ".code.py.swp").touch(), (p / "code.py~").touch()],
    "the mode": lambda p: (p / "inner/code.py").chmod(0o600),
}


@each_row("what", [*CHANGES, *NOTHING])
def test_a_change_of_the_content_and_no_other_one_is_another_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    checkout, kept = checkout_in(tmp_path), cache_in(tmp_path, monkeypatch)
    before = digest(checkout, kept)
    {**CHANGES, **NOTHING}[what](checkout)
    assert digest(checkout, kept) == digest(checkout)
    assert (digest(checkout, kept) != before) is (what in CHANGES)


def test_an_edit_that_keeps_size_and_modification_time_is_seen(checkout: Path, kept: Path) -> None:
    before, file = digest(checkout, kept), checkout / "inner/code.py"
    facts = file.stat()
    while file.stat().st_ctime_ns == facts.st_ctime_ns:  # within a tick of the kernel's clock
        file.write_text("two = 9\n")
        os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (facts.st_size, facts.st_mtime_ns)
    assert digest(checkout, kept) != before


def test_files_are_read_once(checkout: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_content(checkout, kept)
    unread(monkeypatch)
    assert read_content(checkout, kept) == first


def test_what_was_written_a_moment_ago_is_not_kept(checkout: Path, tmp_path: Path) -> None:
    digest(checkout, tmp_path / "kept")
    assert not (tmp_path / "kept").exists(), "it may change again within the same time stamp"


def planted_link(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


def planted_file_link(folder: Path) -> None:
    file = next(folder.iterdir())
    file.rename(folder.with_name("file"))
    file.symlink_to(folder.with_name("file"))


def planted_pipe(folder: Path) -> None:
    file = next(folder.iterdir())
    file.unlink()
    os.mkfifo(file)


MISTRUSTED: dict[str, Callable[[Path], object]] = {
    "a link in the folder's place": planted_link,
    "a link in the file's place": planted_file_link,
    "a pipe in the file's place": planted_pipe,
    "a folder that others may write": lambda f: f.chmod(0o777),
    "a file that others may write": lambda f: next(f.iterdir()).chmod(0o666),
    "a file cut short": lambda f: os.truncate(next(f.iterdir()), 20),
    "a file of another shape": lambda f: next(f.iterdir()).write_text("[]"),
}


@each_row("what", MISTRUSTED)
def test_a_cache_that_another_user_may_have_written_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    checkout, kept = checkout_in(tmp_path), cache_in(tmp_path, monkeypatch)
    true = digest(checkout, kept)
    file = next(kept.iterdir())
    file.write_text(file.read_text().replace(true, "0" * 64))
    assert digest(checkout, kept) == "0" * 64, "this user's own is"
    MISTRUSTED[what](kept)
    assert digest(checkout, kept) == true


def test_a_cache_that_another_user_owns_is_not_believed(
    checkout: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = digest(checkout, kept)
    file = next(kept.iterdir())
    file.write_text(file.read_text().replace(true, "0" * 64))
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    assert digest(checkout, kept) == true


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


def test_a_note_counts_for_the_process_that_wrote_it(tmp_path: Path) -> None:
    note(tmp_path / "build")
    assert noted(tmp_path / "build", os.getpid()) == build.build()
    assert noted(tmp_path / "build", os.getpid() + 1) == "", "an earlier process's note"
    assert noted(tmp_path / "build", None) == ""
    assert noted(tmp_path / "absent", os.getpid()) == ""


@each_row("text", ["", "\x1b[31m\n", "{pid} 0.2.0+a\x1b[31m\n", "{pid} 0.2.0", "{pid} " + "9" * 500])
def test_a_note_of_another_form_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "build").write_text(text.format(pid=os.getpid()))
    assert noted(tmp_path / "build", os.getpid()) == ""


def test_a_note_is_no_link_and_no_pipe(tmp_path: Path) -> None:
    note(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    assert [noted(tmp_path / name, os.getpid()) for name in ("link", "pipe")] == ["", ""]


def test_a_file_that_goes_while_a_pull_is_at_work_is_looked_for_again(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, files, gone = digest(checkout), build.files_of, [("pkg/gone.py", checkout / "gone.py")]
    monkeypatch.setattr(build, "files_of", lambda package: [*files(package), *(gone.pop() for _ in gone[:1])])
    assert digest(checkout) == whole
    monkeypatch.setattr(build, "files_of", lambda _: [("pkg/gone.py", checkout / "gone.py")])
    with pytest.raises(OpsError, match="changes while it is read"):
        read_content(checkout, None)


def test_another_build_says_what_of_it_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "code", lambda: "0.2.0+aaaaaaaaaa")
    monkeypatch.setattr(build, "build", lambda: "0.2.0+aaaaaaaaaa.1111222222")
    assert build.difference("0.2.0+bbbbbbbbbb.1111222222") == "other code"
    assert build.difference("0.2.0+aaaaaaaaaa.9999222222") == "the same code on another Python"
    assert build.difference("0.2.0+aaaaaaaaaa.1111999999") == "the same code, with other Python packages"
    both = build.difference("0.2.0+aaaaaaaaaa.9999999999")
    assert both == "the same code on another Python, with other Python packages"
    assert build.difference("") == "it does not tell its build"
