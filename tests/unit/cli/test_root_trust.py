"""What root does with folders that another user owns or may write, through the command line."""

from __future__ import annotations

import io
import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from techsapo_ops.adapters import trust
from techsapo_ops.cli.main import main
from techsapo_ops.operations import root_trust
from techsapo_ops.schedule.scheduler import JobScheduler

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")

ALICE, BOB = 54321, 54322
SPEC = "project: lab\n"
PAYLOAD = "{{ cycler.__init__.__globals__.os.system('touch %s') }}"
COMMANDS = (
    ("validate",), ("config", "show"), ("plan",), ("generate", "--check"), ("up",), ("down",), ("ps",),
    ("logs",), ("health",), ("history",), ("diff",), ("drift",), ("rollback", "--yes"), ("restart", "redis"),
    ("reload",),
    ("monit", "--once"), ("jobs",), ("jobs", "history", "drift"), ("jobs", "log", "drift"),
    ("cron", "list"), ("schedule",), ("backup", "list"), ("certs", "status"),
    ("keys", "list"), ("keys", "create", "ci"), ("alerts", "list"), ("costs",), ("serve",),
    ("templates", "list"), ("providers", "list"), ("providers", "test"),
    ("templates", "eject", "redis/redis.conf.j2"), ("init", "--force"), ("ask", "why"),
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    words: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


def techsapo(folder: Path, *words: str, **environment: str) -> Done:
    """Root's command line in `folder`, in this process, with a list of trusted folders of its own."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.delenv("SUDO_UID", raising=False)
        for name, value in {"NO_COLOR": "1", "COLUMNS": "200", **environment}.items():
            patch.setenv(name, value)
        patch.setattr(trust, "TRUSTED_FOLDERS", trusted_folders(folder))
        patch.setattr(sys, "argv", ["techsapo", *words])
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Done(words, code, out.getvalue(), err.getvalue())


def trusted_folders(project: Path) -> Path:
    return project.parent / "etc" / "trusted.json"


def techsapo_of(checkout: Path, folder: Path, *words: str, **environment: str) -> Done:
    """As techsapo, but the one of another checkout."""
    code = (
        "import pathlib, sys; from techsapo_ops.adapters import trust\n"
        "from techsapo_ops.cli.main import main\n"
        "trust.TRUSTED_FOLDERS = pathlib.Path(sys.argv.pop(1)); main()"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SUDO_", "TECHSAPO_"))}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(trusted_folders(folder)), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**kept, "NO_COLOR": "1", "PYTHONPATH": str(checkout), **environment},
        timeout=60,
    )
    return Done(words, done.returncode, done.stdout, done.stderr)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "ops"
    folder.mkdir()
    (folder / "techsapo.yaml").write_text(SPEC)
    return folder


def owned_by(uid: int, *paths: Path) -> None:
    for path in paths:
        os.chown(path, uid, uid, follow_symlinks=False)


def refused(done: Done, path: Path) -> str:
    """Stderr of a refusal that names `path`."""
    # Of `health`, 3 is a spec that can't be used.
    assert done.returncode == (3 if "health" in done.words else 1), (done.words, done.stdout, done.stderr)
    assert "root does not use what others may change" in done.stderr, done.stderr
    assert str(path) in done.stderr
    return done.stderr


def test_roots_own_project_is_used(project: Path) -> None:
    done = techsapo(project, "validate")
    assert done.returncode == 0
    told = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert told == ["alerts reach no one", "the weekly report reaches no one"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_of_roots_uses_the_project_of_another_user(
    project: Path, command: tuple[str, ...]
) -> None:
    owned_by(ALICE, project, project / "techsapo.yaml")
    said = refused(techsapo(project, *command), project)
    assert f"`techsapo trust add {project}`" in said
    assert f"uid {ALICE} (mode 0755)" in said, "whose it is, and its mode"
    assert not (project / ".techsapo").exists()


@pytest.mark.parametrize(
    "name",
    [
        "techsapo.yaml",
        ".env",
        "template-overrides",
        "template-overrides/redis/redis.conf.j2",
        "templates",
        "templates/redis/redis.conf.j2",
        ".techsapo",
        ".techsapo/run",
    ],
)
@pytest.mark.parametrize("how", ["owner", "mode", "group"])
def test_one_file_or_folder_of_anothers_is_enough(project: Path, name: str, how: str) -> None:
    path = project / name
    if name.endswith((".j2", ".env", ".yaml")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SPEC if name.endswith(".yaml") else "")
    else:
        path.mkdir(parents=True)
    if how == "owner":
        owned_by(ALICE, path)
    else:
        path.chmod(path.stat().st_mode | (0o002 if how == "mode" else 0o020))
        if how == "group":
            os.chown(path, 0, BOB)
    refused(techsapo(project, "plan"), path)


@pytest.mark.parametrize("sticky", [True, False])
def test_a_sticky_folder_on_the_way_is_safe_as_tmp_is_and_another_is_not(project: Path, sticky: bool) -> None:
    project.parent.chmod(0o1777 if sticky else 0o777)
    done = techsapo(project, "validate")
    if sticky:
        assert done.returncode == 0, done.stderr
    else:
        assert f"`chmod o-w {project.parent}`" in refused(done, project.parent)
        assert "trust add" not in done.stderr, "what everyone may write can't be allowed"


def test_a_project_straight_in_a_sticky_folder_is_refused_since_others_can_add_to_it(project: Path) -> None:
    project.chmod(0o1777)
    done = techsapo(project, "up")
    assert "move it where root alone may write" in refused(done, project)
    assert f"chmod o-w {project}" not in done.stderr


def test_a_link_of_another_user_is_not_followed_to_roots_own_files(project: Path) -> None:
    mine = project.parent / "mine"
    mine.mkdir()
    (project / "templates").symlink_to(mine)
    assert techsapo(project, "validate").returncode == 0, "root's own link is root's own choice"
    owned_by(ALICE, project / "templates")
    refused(techsapo(project, "validate"), project / "templates")


def test_the_user_who_ran_sudo_is_trusted_and_nobody_else(project: Path) -> None:
    owned_by(ALICE, project, project / "techsapo.yaml")
    assert techsapo(project, "validate", SUDO_UID=str(ALICE)).returncode == 0
    for value in (str(BOB), "", "alice", f"{ALICE} ", f"+{ALICE}", "-1", "4294967295", f"0x{ALICE:x}"):
        refused(techsapo(project, "validate", SUDO_UID=value), project)


@pytest.mark.parametrize("folder", ["template-overrides", "templates", "mine", "../mine"])
def test_a_template_of_another_user_is_not_run_by_plan(project: Path, folder: str) -> None:
    if folder.endswith("mine"):
        (project / "techsapo.yaml").write_text(f"{SPEC}template_overrides: {folder}\n")
    template = project.parent / os.path.normpath(f"{project.name}/{folder}") / "redis" / "redis.conf.j2"
    template.parent.mkdir(parents=True)
    template.write_text(PAYLOAD % (project / "ran"))
    owned_by(ALICE, template)
    said = refused(techsapo(project, "plan"), template)
    assert not (project / "ran").exists()
    if folder.endswith("mine"):
        mine = template.parents[1]
        assert f"`techsapo trust add {mine}`" in said
        assert techsapo(project, "validate", SUDO_UID=str(ALICE)).returncode == 0
        assert root_trust.without_sudo(project / "techsapo.yaml", mine).startswith(
            f"`techsapo trust add {mine}`"
        )
        techsapo(project, "trust", "add", str(mine))
        assert techsapo(project, "validate").returncode == 0


@pytest.mark.parametrize(
    "name", ["run/members", "run", "keys", "logs/supervisord.err", "jobs/drift", "textfile"]
)
@pytest.mark.parametrize("uid", [0, ALICE])
def test_up_follows_no_link_in_the_state_directory(project: Path, name: str, uid: int) -> None:
    victim = project.parent / "victim"
    if name.endswith(".err"):
        victim.write_text("root's\n")
    else:
        victim.mkdir(mode=0o700)
    link = project / ".techsapo" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    owned_by(uid, link)
    before = (victim.stat().st_mode, victim.stat().st_uid, victim.stat().st_mtime_ns)
    assert "is a symbolic link" in refused(techsapo(project, "up"), link)
    assert (victim.stat().st_mode, victim.stat().st_uid, victim.stat().st_mtime_ns) == before
    assert victim.is_file() or not list(victim.iterdir())


def test_a_server_is_asked_from_a_folder_that_holds_no_project(project: Path) -> None:
    project.chmod(0o1777)
    (project / "techsapo.yaml").unlink()
    asked = techsapo(project, "ask", "why", "--url", "http://127.0.0.1:9")
    assert "root does not use" not in asked.stderr
    assert asked.returncode == 1
    assert "connection refused" in asked.stderr
    (project / ".techsapo" / "certs").mkdir(parents=True)
    refused(techsapo(project, "ask", "why", "--url", "http://127.0.0.1:9"), project)


def test_data_folders_of_services_are_their_own(project: Path) -> None:
    data = project / ".techsapo" / "data" / "redis"
    data.mkdir(parents=True)
    owned_by(ALICE, data)
    assert techsapo(project, "ps").returncode == 0


def test_what_a_recovery_fetched_has_its_owners_of_the_old_host(project: Path) -> None:
    folder = project / ".techsapo/recovery"
    fetched = folder / "fetched/srv/old/techsapo.yaml"
    fetched.parent.mkdir(parents=True)
    fetched.touch()
    owned_by(ALICE, fetched)
    folder.chmod(0o700)
    assert techsapo(project, "ps").returncode == 0
    owned_by(ALICE, folder)
    refused(techsapo(project, "ps"), folder)


@pytest.mark.parametrize("name", ["generated/supervisor/supervisord.conf", "keys/password", "ledger/a/b"])
def test_what_an_earlier_owner_left_in_the_state_directory_is_refused(project: Path, name: str) -> None:
    """Its owner can write into it, also where the folders are root's by now."""
    left = project / ".techsapo" / name
    left.parent.mkdir(parents=True)
    left.touch()
    owned_by(ALICE, left)
    said = refused(techsapo(project, "ps"), left)
    assert f"chown -R root {project / '.techsapo' / name.partition('/')[0]}`" in said
    owned_by(pwd.getpwnam("www-data").pw_uid, left)  # a rendered secret is its service's
    assert techsapo(project, "ps").returncode == 0


def test_an_allowed_folder_is_used_until_that_is_taken_back(project: Path) -> None:
    owned_by(ALICE, project, project / "techsapo.yaml")
    said = techsapo(project, "trust", "add", ".")
    assert said.returncode == 0
    assert f"uid {ALICE}" in said.stderr
    assert techsapo(project, "validate").returncode == 0
    listed = json.loads(techsapo(project, "trust", "list", "--json").stdout)
    assert listed == [{"folder": str(project), "users": [ALICE], "groups": []}]
    assert str(project) in techsapo(project, "trust", "list").stdout
    owned_by(BOB, project / "techsapo.yaml")
    refused(techsapo(project, "validate"), project / "techsapo.yaml")
    owned_by(ALICE, project / "techsapo.yaml")
    assert techsapo(project, "trust", "remove", str(project)).returncode == 0
    refused(techsapo(project, "validate"), project)
    again = techsapo(project, "trust", "remove", str(project))
    assert (again.returncode, "was not allowed" in again.stderr) == (2, True)


def test_a_group_that_may_write_is_allowed_by_its_number(project: Path) -> None:
    os.chown(project, 0, BOB)
    project.chmod(0o2775)
    refused(techsapo(project, "validate"), project)
    techsapo(project, "trust", "add", str(project))
    assert techsapo(project, "validate").returncode == 0
    os.chown(project, 0, ALICE)
    refused(techsapo(project, "validate"), project)


def test_whom_root_was_told_to_trust_is_recorded_with_the_stack(project: Path) -> None:
    owned_by(ALICE, project, project / "techsapo.yaml")
    techsapo(project, "trust", "add", str(project))
    assert not (project / ".techsapo").exists(), "there is no stack yet that it would belong to"
    (project / ".techsapo").mkdir()
    owned_by(ALICE, project / ".techsapo")
    techsapo(project, "trust", "add", str(project))
    techsapo(project, "trust", "remove", str(project))
    record = project / ".techsapo" / "administration" / "record.jsonl"
    actions = [json.loads(line)["action"] for line in record.read_text().splitlines()]
    assert actions == ["trust add", "trust add", "trust remove", "trust remove"]
    assert record.stat().st_uid == ALICE


def test_what_everyone_may_write_is_not_allowed_and_roots_own_needs_it_not(project: Path) -> None:
    same = techsapo(project, "trust", "add", ".")
    assert (same.returncode, "nothing to allow" in same.stderr) == (0, True)
    (project / "techsapo.yaml").chmod(0o666)
    done = techsapo(project, "trust", "add", ".")
    assert done.returncode == 1
    assert f"chmod o-w {project / 'techsapo.yaml'}" in done.stderr
    assert techsapo(project, "trust", "add", "nowhere").returncode == 1


def test_a_list_of_trusted_folders_that_others_may_write_is_refused(project: Path) -> None:
    owned_by(ALICE, project, project / "techsapo.yaml")
    techsapo(project, "trust", "add", ".")
    trusted = project.parent / "etc" / "trusted.json"
    assert (trusted.stat().st_mode & 0o777, trusted.stat().st_uid) == (0o644, 0)
    owned_by(ALICE, trusted)
    done = techsapo(project, "validate")
    assert done.returncode == 1
    assert f"{trusted} says whom root trusts, but" in done.stderr
    owned_by(0, trusted)
    trusted.write_text("{")
    assert "is damaged" in techsapo(project, "validate").stderr


def test_doctor_shows_it_as_a_check_and_reads_nothing_else(project: Path) -> None:
    fine = json.loads(techsapo(project, "doctor", "--json").stdout)
    assert [f["level"] for f in fine["findings"] if f["topic"] == "trust"] == ["ok"]
    owned_by(ALICE, project / "techsapo.yaml")
    done = techsapo(project, "doctor", "--json")
    found = json.loads(done.stdout)["findings"]
    assert done.returncode == 1
    assert {f["topic"] for f in found} == {"trust"}
    assert {f["level"] for f in found} == {"missing"}
    assert f"techsapo trust add {project}" in found[-1]["remedy"]


def test_doctor_shows_a_folder_of_templates_that_the_spec_names_as_a_check_too(project: Path) -> None:
    (project / "techsapo.yaml").write_text(f"{SPEC}template_overrides: mine\n")
    (project / "mine").mkdir()
    owned_by(ALICE, project / "mine")
    done = techsapo(project, "doctor", "--json")
    found = json.loads(done.stdout)["findings"]
    assert {f["topic"] for f in found} == {"trust"}
    assert f"techsapo trust add {project / 'mine'}" in found[-1]["remedy"]


def run_of(project: Path) -> dict[str, object]:
    value: dict[str, object] = json.loads((project / ".techsapo/jobs/drift/000001.json").read_text())
    return value


@pytest.mark.parametrize("state_owner", [0, ALICE])
def test_a_nightly_job_that_is_refused_is_a_failed_run_that_names_the_command(
    project: Path, state_owner: int
) -> None:
    state = project / ".techsapo"
    state.mkdir()
    owned_by(ALICE, project, project / "techsapo.yaml")
    owned_by(state_owner, state)
    done = techsapo(project, "jobs", "run", "drift", "--by", "cron")
    refused(done, project)
    run = run_of(project)
    assert (run["result"], run["by"], run["exit_code"]) == ("failed", "cron", 1)
    assert str(run["error"]).startswith(f"`techsapo trust add {project}` lets root use it")
    metrics = (state / "textfile" / "drift.prom").read_text()
    assert 'techsapo_job_last_exit_code{name="drift"} 1.0' in metrics
    owners = {path.lstat().st_uid for path in (state / "jobs").rglob("*")}
    assert owners == {state_owner}, "written with the rights of whoever owns the state directory"


@pytest.mark.parametrize(
    "name", [".techsapo", ".techsapo/jobs", ".techsapo/textfile", ".techsapo/jobs/drift"]
)
def test_a_refused_job_writes_through_no_link(project: Path, name: str) -> None:
    victim = project.parent / "victim"
    victim.mkdir()
    link = project / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(victim)
    owned_by(ALICE, project, project / "techsapo.yaml", link)
    done = techsapo(project, "jobs", "run", "drift", "--by", "cron")
    assert done.returncode == 1
    assert "not recorded" in done.stderr
    assert not list(victim.iterdir())


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


def test_a_package_of_another_user_is_refused_with_its_own_command(checkout: Path, project: Path) -> None:
    owned_by(ALICE, checkout)
    said = refused(techsapo_of(checkout, project, "validate"), checkout)
    assert f"techsapo trust add {checkout}" in said
    assert techsapo_of(checkout, project, "validate", SUDO_UID=str(ALICE)).returncode == 0
    techsapo_of(checkout, project, "trust", "add", str(checkout))
    assert techsapo_of(checkout, project, "validate").returncode == 0


@pytest.mark.parametrize(
    "name", ["techsapo_ops/cli/commands/ps.py", "templates/supervisor/supervisord.conf.j2"]
)
def test_a_file_of_another_user_in_the_package_is_refused(checkout: Path, project: Path, name: str) -> None:
    """What is left where the folders alone were given to root, as one is asked to."""
    owned_by(ALICE, checkout / name)
    said = refused(techsapo_of(checkout, project, "validate"), checkout / name)
    assert f"chown -R root {checkout / name.partition('/')[0]}`" in said
    techsapo_of(checkout, project, "trust", "add", str(checkout))
    assert techsapo_of(checkout, project, "validate").returncode == 0


def test_a_project_that_root_uses_by_sudo_alone_is_told_what_cron_needs(project: Path) -> None:
    owned_by(ALICE, project, project / "techsapo.yaml")
    assert root_trust.without_sudo(project / "techsapo.yaml").startswith(f"`techsapo trust add {project}`")
    owned_by(0, project, project / "techsapo.yaml")
    assert root_trust.without_sudo(project / "techsapo.yaml") == ""


def test_a_scheduler_that_root_no_longer_trusts_reads_and_writes_nothing_there(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its jobs say why, each in its own run."""
    rendered = project / "schedule.json"
    rendered.write_text("not even JSON")
    owned_by(ALICE, project, project / "techsapo.yaml")
    started: list[tuple[str, ...]] = []

    def stop_at_once(scheduler: JobScheduler, overdue: Sequence[str] = ()) -> None:
        started.append(tuple(overdue))
        raise KeyboardInterrupt

    monkeypatch.setattr(JobScheduler, "start", stop_at_once)
    monkeypatch.setattr(JobScheduler, "stop", lambda _: None)
    done = techsapo(project, "schedule", "--rendered", str(rendered))
    assert (done.returncode, started) == (0, [()])
    assert f"`techsapo trust add {project}`" in done.stderr
    assert not (project / ".techsapo").exists()
