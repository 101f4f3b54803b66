"""What root does with files of another user; tests/unit/cli/test_trust.py has those open to all."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import in_process
import pytest
from rows import each_row

from techsapo_ops.adapters import trusted_users

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user"),
]

ALICE, BOB = 54321, 54322
SPEC = "project: lab\n"
PAYLOAD = "{{ cycler.__init__.__globals__.os.system('touch %s') }}"
COMMANDS = (
    ("validate",), ("up",), ("down",), ("logs",), ("health",), ("rollback", "--yes"),
    ("keys", "create", "ci"),
    ("serve",), ("monit", "--once"), ("init", "--force"), ("jobs", "history", "drift"),
)  # fmt: skip


def techsapo(folder: Path, *words: str, **environment: str) -> CompletedProcess[str]:
    """Root's command line in `folder`, with a list of trusted users of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trusted_users, "TRUSTED_USERS", list_of_users(folder))
        return in_process.techsapo(folder, *words, env={"COLUMNS": "200", **environment})


def list_of_users(project: Path) -> Path:
    return project.parent / "etc" / "trusted-users"


def trust(project: Path, *users: int) -> None:
    """Write who is trusted, as root does by hand."""
    listed = list_of_users(project)
    listed.parent.mkdir(exist_ok=True)
    listed.write_text("".join(f"{user}\n" for user in users))


def techsapo_of(checkout: Path, folder: Path, *words: str, **environment: str) -> CompletedProcess[str]:
    """As techsapo, but the one of another checkout."""
    code = (
        "import pathlib, sys; from techsapo_ops.adapters import trusted_users\n"
        "from techsapo_ops.cli.main import main\n"
        "trusted_users.TRUSTED_USERS = pathlib.Path(sys.argv.pop(1)); main()"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SUDO_", "TECHSAPO_"))}
    return subprocess.run(
        [sys.executable, "-P", "-c", code, str(list_of_users(folder)), *words],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**kept, "NO_COLOR": "1", "PYTHONPATH": str(checkout), **environment},
    )  # fmt: skip


def made_project(folder: Path) -> Path:
    project = folder / "ops"
    project.mkdir()
    (project / "techsapo.yaml").write_text(SPEC)
    return project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return made_project(tmp_path)


def owned_by(uid: int, *paths: Path) -> None:
    for path in paths:
        os.chown(path, uid, uid, follow_symlinks=False)


def refused(done: CompletedProcess[str], path: Path) -> str:
    """Stderr of a refusal that names `path`."""
    # Of `health`, 3 is a spec that can't be used.
    assert done.returncode == (3 if "health" in done.args else 1), (done.args, done.stdout, done.stderr)
    assert "files that other users can change are not used" in done.stderr, done.stderr
    assert str(path) in done.stderr
    return done.stderr


@each_row("command", COMMANDS, ids=map(" ".join, COMMANDS))
def test_no_command_of_roots_uses_the_project_of_another_user(
    project: Path, command: tuple[str, ...]
) -> None:
    owned_by(ALICE, project, project / "techsapo.yaml")
    said = refused(techsapo(project, *command), project)
    assert f"`chown root {project} {project / 'techsapo.yaml'}`" in said
    assert f"add {ALICE} to /etc/techsapo/trusted-users" in said
    assert f"uid {ALICE} (mode 0755)" in said, "whose it is, and its mode"
    assert not (project / ".techsapo").exists()


@each_row(
    "name",
    [
        "techsapo.yaml",
        ".env",
        "template-overrides",
        "template-overrides/redis/redis.conf.j2",
        ".techsapo",
        ".techsapo/run",
    ],
)
@each_row("how", ["owner", "group"])
def test_one_file_or_folder_of_anothers_is_enough(name: str, how: str, tmp_path: Path) -> None:
    project = made_project(tmp_path)
    path = project / name
    if name.endswith((".j2", ".env", ".yaml")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SPEC if name.endswith(".yaml") else "")
    else:
        path.mkdir(parents=True)
    if how == "owner":
        owned_by(ALICE, path)
    else:
        path.chmod(path.stat().st_mode | 0o020)
        os.chown(path, 0, BOB)
    refused(techsapo(project, "plan"), path)


def test_a_link_of_another_user_is_not_followed_to_roots_own_files(project: Path) -> None:
    mine = project.parent / "mine"
    mine.mkdir()
    (project / "template-overrides").symlink_to(mine)
    assert techsapo(project, "validate").returncode == 0, "root's own link is root's own choice"
    owned_by(ALICE, project / "template-overrides")
    refused(techsapo(project, "validate"), project / "template-overrides")


def test_the_user_who_ran_sudo_is_trusted_and_nobody_else(project: Path) -> None:
    owned_by(ALICE, project, project / "techsapo.yaml")
    assert techsapo(project, "validate", SUDO_UID=str(ALICE)).returncode == 0
    for value in (str(BOB), "", "alice", f"{ALICE} ", f"+{ALICE}", "-1", "4294967295", f"0x{ALICE:x}"):
        refused(techsapo(project, "validate", SUDO_UID=value), project)


@each_row("folder", ["template-overrides", "mine", "../mine"])
def test_a_template_of_another_user_is_not_run_by_plan(tmp_path: Path, folder: str) -> None:
    project = made_project(tmp_path)
    if folder.endswith("mine"):
        (project / "techsapo.yaml").write_text(f"{SPEC}template_overrides: {folder}\n")
    template = project.parent / os.path.normpath(f"{project.name}/{folder}") / "redis" / "redis.conf.j2"
    template.parent.mkdir(parents=True)
    template.write_text(PAYLOAD % (project / "ran"))
    owned_by(ALICE, template)
    said = refused(techsapo(project, "plan"), template)
    assert not (project / "ran").exists()
    assert f"`chown -R root {template.parents[1]}`" in said
    assert techsapo(project, "validate", SUDO_UID=str(ALICE)).returncode == 0


@each_row("name", ["run/members", "keys"])
@each_row("uid", [0, ALICE])
def test_up_follows_no_link_in_the_state_directory(tmp_path: Path, name: str, uid: int) -> None:
    project = made_project(tmp_path)
    victim = project.parent / "victim"
    victim.mkdir(mode=0o700)
    link = project / ".techsapo" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    owned_by(uid, link)
    before = (victim.stat().st_mode, victim.stat().st_uid, victim.stat().st_mtime_ns)
    done = techsapo(project, "up", PATH="")
    assert (done.returncode, str(link) in done.stderr) == (1, True)
    assert ("is a symbolic link" if uid == 0 else "is owned by") in done.stderr
    assert (victim.stat().st_mode, victim.stat().st_uid, victim.stat().st_mtime_ns) == before
    assert not list(victim.iterdir())


def test_what_services_own_and_what_was_fetched_keeps_nobody_from_work(
    project: Path,
) -> None:
    for name in ("data/redis", "recovery/fetched/srv/old", "drill-1/stack/.techsapo/recovery/fetched/tmp"):
        folder = project / ".techsapo" / name
        folder.mkdir(parents=True)
        owned_by(ALICE, folder)
        folder.chmod(0o1777)
    (project / ".techsapo/recovery").chmod(0o700)
    assert techsapo(project, "ps").returncode == 0
    owned_by(ALICE, project / ".techsapo/recovery")
    refused(techsapo(project, "ps"), project / ".techsapo/recovery")


@each_row("name", ["generated/supervisor/supervisord.conf", "keys/password", "ledger/a/b"])
def test_what_an_earlier_owner_left_in_the_state_directory_is_refused(tmp_path: Path, name: str) -> None:
    """Its owner can write into it, also where the folders are root's by now."""
    project = made_project(tmp_path)
    left = project / ".techsapo" / name
    left.parent.mkdir(parents=True)
    left.touch()
    owned_by(ALICE, left)
    said = refused(techsapo(project, "ps"), left)
    assert f"chown -R root {project / '.techsapo' / name.partition('/')[0]}`" in said
    owned_by(pwd.getpwnam("www-data").pw_uid, left)  # a rendered secret is its service's
    assert techsapo(project, "ps").returncode == 0


def test_a_recorded_user_is_trusted_until_that_is_taken_back(project: Path) -> None:
    assert techsapo(project, "validate").returncode == 0
    owned_by(ALICE, project, project / "techsapo.yaml")
    trust(project, ALICE)
    assert techsapo(project, "validate").returncode == 0
    owned_by(BOB, project / "techsapo.yaml")
    refused(techsapo(project, "validate"), project / "techsapo.yaml")
    owned_by(ALICE, project / "techsapo.yaml")
    trust(project)
    refused(techsapo(project, "validate"), project)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder of another user's with a `promtool` and an `nginx`, which note that they ran."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in ("promtool", "nginx"):
        (folder / name).write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/ran\n")
        (folder / name).chmod(0o755)
    owned_by(ALICE, folder, *folder.iterdir())
    return folder


def test_root_runs_and_writes_down_no_program_of_a_folder_that_is_first_on_path(
    project: Path, hostile: Path
) -> None:
    (project / "techsapo.yaml").write_text(
        f"{SPEC}engine: native\napp: {{instances: [{{port: 4000}}, {{port: 4001}}]}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-m", "techsapo_ops", "config", "generate"],
        cwd=project, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{hostile}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (project.parent / "ran").exists()
    written = (project / ".techsapo/generated/supervisor/supervisord.conf").read_text()
    assert " /usr/sbin/nginx " in written
    everything = b"".join(p.read_bytes() for p in (project / ".techsapo").rglob("*") if p.is_file())
    assert str(hostile).encode() not in everything


@each_row("command", [("plan",), ("up", "--yes"), ("config", "generate"), ("health",)])
def test_a_program_of_another_user_in_a_system_folder_is_refused_before_anything_is_done(
    project: Path, hostile: Path, command: tuple[str, ...]
) -> None:
    path = f"{hostile}:/usr/bin:/bin"
    said = refused(techsapo(project, *command, PATH=path), hostile / "promtool")
    assert f"chown root {hostile} " in said
    assert not (project.parent / "ran").exists()
    assert not (project / ".techsapo").exists()
    (finding, *_) = json.loads(techsapo(project, "doctor", "--json", PATH=path).stdout)["findings"]
    assert (finding["topic"], finding["level"]) == ("trust", "missing")


def test_what_only_sudo_makes_trusted_is_refused_by_plan_and_up_where_jobs_run_without_it(
    tmp_path: Path,
) -> None:
    project = made_project(tmp_path)
    spec = project / "techsapo.yaml"
    spec.write_text(f"{SPEC}engine: native\nschedule: {{by: cron}}\n")
    owned_by(ALICE, project, spec)
    for command in (("plan",), ("up", "--yes"), ("cron", "install"), ("certs", "install-cron")):
        said = refused(techsapo(project, *command, SUDO_UID=str(ALICE)), project)
        assert f"add {ALICE} to" in said
    assert techsapo(project, "validate", SUDO_UID=str(ALICE)).returncode == 0
    trust(project, ALICE)
    assert techsapo(project, "plan", SUDO_UID=str(ALICE)).returncode == 100


@each_row("whose", ["file", "folder"])
def test_anothers_spec_is_not_taken_from_a_folder_above(whose: str) -> None:
    with tempfile.TemporaryDirectory(prefix="techsapo-place-") as made:
        top = Path(made).resolve()
        top.chmod(0o755)
        (top / "techsapo.yaml").write_text(SPEC)
        (top / "below").mkdir()
        owned_by(ALICE, top / "techsapo.yaml" if whose == "file" else top)
        told = in_process.techsapo(top / "below", "ps")
        assert told.returncode == 1
        assert f"{top}/techsapo.yaml is ignored: " in told.stderr
        assert f"is owned by uid {ALICE}" in told.stderr
        owned_by(0, top)


def test_a_job_that_is_refused_writes_nothing_and_names_the_command(tmp_path: Path) -> None:
    project = made_project(tmp_path)
    state = project / ".techsapo"
    state.mkdir()
    owned_by(ALICE, project, project / "techsapo.yaml", state)
    refused(techsapo(project, "jobs", "run", "drift", "--by", "cron"), project)
    assert not list(state.iterdir())


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Iterator[Path]:
    """A copy of the package, as a user's own checkout."""
    copy = tmp_path / "checkout"
    shutil.copytree(
        repository / "techsapo_ops", copy / "techsapo_ops", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(repository / "templates", copy / "templates")
    yield copy
    shutil.rmtree(copy)


def test_a_package_of_another_user_is_refused_with_the_command_that_helps(
    checkout: Path, project: Path
) -> None:
    owned_by(ALICE, checkout)
    said = refused(techsapo_of(checkout, project, "validate"), checkout)
    assert f"chown root {checkout}`" in said
    assert techsapo_of(checkout, project, "validate", SUDO_UID=str(ALICE)).returncode == 0
    trust(project, ALICE)
    assert techsapo_of(checkout, project, "validate").returncode == 0
    owned_by(0, checkout)
    file = checkout / "techsapo_ops/cli/watch/ps.py"
    file.chmod(0o666)  # what is left where the folders alone were given to root
    said = refused(techsapo_of(checkout, project, "validate"), file)
    assert f"chmod -R o-w {checkout / 'techsapo_ops'}`" in said


def test_a_folder_that_python_imports_from_is_judged_too(project: Path, tmp_path: Path) -> None:
    imported = tmp_path / "imported"
    imported.mkdir()
    owned_by(ALICE, imported)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "techsapo_ops", "plan"], cwd=project, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": str(imported)},
    )  # fmt: skip
    assert f"{imported} is owned by uid {ALICE}" in done.stderr
    project.chmod(0o1777)
    (project / "techsapo.yaml").unlink()
    here = subprocess.run(
        [sys.executable, "-m", "techsapo_ops", "init", "elsewhere"], cwd=project, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert "run the command in another folder" in here.stderr


def test_a_scheduler_that_root_does_not_trust_does_not_start(project: Path) -> None:
    rendered = project / "schedule.json"
    rendered.write_text("not even JSON")
    owned_by(ALICE, project, project / "techsapo.yaml")
    done = techsapo(project, "jobs", "schedule", "--rendered", str(rendered))
    assert done.returncode == 1
    assert f"add {ALICE} to" in done.stderr
    assert not (project / ".techsapo").exists()
