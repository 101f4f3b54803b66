"""What all may write is used by no command; tests/lab/engines/test_root_trust_lab.py has files of others."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import in_process
import pytest
from rows import each_row

from techsapo_ops.adapters import trusted_users

SPEC = "project: lab\n"
COMMANDS = (
    ("validate",), ("config", "show"), ("plan",), ("config", "generate", "--check"), ("up",), ("down",),
    ("ps",), ("logs",), ("health",), ("changes", "list"), ("changes", "diff"), ("rollback", "--yes"),
    ("restart", "redis"),
    ("jobs",), ("backup", "list"), ("certs", "status"), ("keys", "create", "ci"),
    ("alerts", "list"), ("serve",), ("config", "templates", "eject", "redis/redis.conf.j2"),
    ("init", "--force"), ("ask", "why"),
)  # fmt: skip


def techsapo(folder: Path, *words: str) -> CompletedProcess[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trusted_users, "TRUSTED_USERS", folder.parent / "etc" / "trusted-users")
        return in_process.techsapo(folder, *words, env={"COLUMNS": "200", "PATH": ""})


def refused(done: CompletedProcess[str], path: Path) -> str:
    """Stderr of a refusal that names `path`."""
    # Of `health`, 3 is a spec that can't be used.
    assert done.returncode == (3 if "health" in done.args else 1), (done.args, done.stdout, done.stderr)
    assert "files that other users can change are not used" in done.stderr, done.stderr
    assert f"{path} is writable by everyone" in done.stderr
    return done.stderr


@pytest.fixture
def project() -> Iterator[Path]:
    """A project in a folder that others may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="techsapo-trust-") as made:
        folder = Path(made).resolve() / "ops"
        folder.parent.chmod(0o755)
        for made_in in (folder, folder.parent / "etc"):
            made_in.mkdir(mode=0o755)
            made_in.chmod(0o755)
        (folder / "techsapo.yaml").write_text(SPEC)
        (folder / "techsapo.yaml").chmod(0o644)
        yield folder


@each_row("command", COMMANDS, ids=map(" ".join, COMMANDS))
def test_no_command_uses_a_project_that_all_may_write(project: Path, command: tuple[str, ...]) -> None:
    project.chmod(0o777)
    said = refused(techsapo(project, *command), project)
    assert f"o-w {project}`" in said
    assert not (project / ".techsapo").exists()


def test_one_file_or_folder_that_all_may_write_is_enough(project: Path) -> None:
    assert techsapo(project, "validate").returncode == 0
    for name in (
        "techsapo.yaml", ".env", "template-overrides/redis/redis.conf.j2", "template-overrides",
        ".techsapo/run", ".techsapo",
    ):  # fmt: skip
        path = project / name
        if path.suffix or name == ".env":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SPEC if path.suffix == ".yaml" else "")
        else:
            path.mkdir(parents=True, exist_ok=True)
        before = path.stat().st_mode & 0o7777
        path.chmod(before | 0o002)
        refused(techsapo(project, "plan"), path)
        path.chmod(before & ~0o022)


def test_a_sticky_folder_on_the_way_is_safe_as_tmp_is_and_another_is_not(project: Path) -> None:
    above = project.parent
    above.chmod(0o1777)
    assert techsapo(project, "validate").returncode == 0
    above.chmod(0o777)
    assert f"o-w {above}`" in refused(techsapo(project, "validate"), above)
    above.chmod(0o755)
    project.chmod(0o1777)  # others could put there what is missing
    assert "move the files to a place where nobody else can write" in refused(
        techsapo(project, "up"), project
    )


def test_up_follows_no_link_in_the_state_directory(project: Path) -> None:
    victim = project.parent / "victim"
    victim.mkdir(mode=0o700)
    link = project / ".techsapo" / "keys"
    link.parent.mkdir()
    link.symlink_to(victim)
    before = victim.stat()
    done = techsapo(project, "up")
    assert done.returncode == 1
    assert f"{link} is a symbolic link" in done.stderr
    assert os.path.samestat(victim.stat(), before)
    assert (victim.stat().st_mode, victim.stat().st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_a_hook_and_a_template_folder_that_the_spec_names_are_judged_too(project: Path) -> None:
    hook, folder = project.parent / "hook", project.parent / "mine"
    hook.touch()
    folder.mkdir()
    (project / "techsapo.yaml").write_text(
        f"{SPEC}template_overrides: ../mine\ncertificates:\n  site:\n    source: self-signed\n"
        f"    names: [a.example]\n    deploy_hooks: ['{hook} --now']\n"
    )
    for path in (hook, folder):
        before = path.stat().st_mode & 0o755
        path.chmod(0o777)
        refused(techsapo(project, "plan"), path)
        path.chmod(before)
    assert techsapo(project, "validate").returncode == 0
