"""What root does with programs, specs and folders that another user owns or may write."""

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

from techsapo_ops.adapters import trusted_users
from techsapo_ops.cli import host_tables, root_path
from techsapo_ops.cli.main import main
from techsapo_ops.cli.open_stack import topology_for
from techsapo_ops.cli.project import open_project
from techsapo_ops.cli.trusted_project import require_trust_of_jobs
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
    """Root's command line in `folder`, in this process, with a list of trusted users of its own."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.delenv("SUDO_UID", raising=False)
        patch.setenv("PATH", os.environ["PATH"])  # what the command line sets ends with it
        for name, value in {"NO_COLOR": "1", "COLUMNS": "200", **environment}.items():
            patch.setenv(name, value)
        patch.setattr(trusted_users, "TRUSTED_USERS", list_of_users(folder))
        patch.setattr(sys, "argv", ["techsapo", *words])
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Done(words, code, out.getvalue(), err.getvalue())


def list_of_users(project: Path) -> Path:
    return project.parent / "etc" / "trusted-users"


def techsapo_of(checkout: Path, folder: Path, *words: str, **environment: str) -> Done:
    """As techsapo, but the one of another checkout."""
    code = (
        "import pathlib, sys; from techsapo_ops.adapters import trusted_users\n"
        "from techsapo_ops.cli.main import main\n"
        "trusted_users.TRUSTED_USERS = pathlib.Path(sys.argv.pop(1)); main()"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SUDO_", "TECHSAPO_"))}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(list_of_users(folder)), *words],
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
    assert "what others can change is not used" in done.stderr, done.stderr
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
    assert f"`chown root {project} {project / 'techsapo.yaml'}`" in said
    assert f"`techsapo trust add {ALICE}`" in said
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
    list_of_users(project).parent.mkdir()  # or others could
    project.parent.chmod(0o1777 if sticky else 0o777)
    done = techsapo(project, "validate")
    if sticky:
        assert done.returncode == 0, done.stderr
    else:
        assert f"`chmod o-w {project.parent}`" in refused(done, project.parent)
        assert "trust add" not in done.stderr, "what everyone may write belongs to nobody"


def test_a_project_straight_in_a_sticky_folder_is_refused_since_others_can_add_to_it(project: Path) -> None:
    project.chmod(0o1777)
    done = techsapo(project, "up")
    assert "move it where nobody else may write" in refused(done, project)
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
    assert f"`chown -R root {template.parents[1]}`" in said
    assert techsapo(project, "validate", SUDO_UID=str(ALICE)).returncode == 0


@pytest.mark.parametrize("name", ["run/members", "run", "keys", "logs/supervisord.err", "textfile"])
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
    done = techsapo(project, "up")
    assert (done.returncode, str(link) in done.stderr) == (1, True)
    assert ("is a symbolic link" if uid == 0 else "is owned by") in done.stderr
    assert (victim.stat().st_mode, victim.stat().st_uid, victim.stat().st_mtime_ns) == before
    assert victim.is_file() or not list(victim.iterdir())


def test_a_server_is_asked_from_a_folder_that_holds_no_project(project: Path) -> None:
    project.chmod(0o1777)
    (project / "techsapo.yaml").unlink()
    asked = techsapo(project, "ask", "why", "--url", "http://127.0.0.1:9")
    assert "is not used" not in asked.stderr
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


def test_what_a_killed_drill_left_keeps_no_command_from_its_work(project: Path) -> None:
    fetched = project / ".techsapo/drill-1/stack/.techsapo/recovery/fetched/tmp"
    fetched.mkdir(parents=True)
    fetched.chmod(0o1777)
    assert techsapo(project, "ps").returncode == 0


@pytest.mark.parametrize(
    "name", ["generated/supervisor/supervisord.conf", "keys/password", "ledger/a/b", "jobs/drift/1"]
)
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


def test_a_recorded_user_is_trusted_until_that_is_taken_back(project: Path) -> None:
    owned_by(ALICE, project, project / "techsapo.yaml")
    said = techsapo(project, "trust", "add", str(ALICE))
    assert said.returncode == 0
    assert f"root trusts {ALICE} (uid {ALICE})" in said.stderr
    assert techsapo(project, "validate").returncode == 0
    listed = json.loads(techsapo(project, "trust", "list", "--json").stdout)
    assert listed == [{"user": str(ALICE), "uid": ALICE}]
    assert str(ALICE) in techsapo(project, "trust", "list").stdout
    owned_by(BOB, project / "techsapo.yaml")
    refused(techsapo(project, "validate"), project / "techsapo.yaml")
    owned_by(ALICE, project / "techsapo.yaml")
    assert techsapo(project, "trust", "remove", str(ALICE)).returncode == 0
    refused(techsapo(project, "validate"), project)
    again = techsapo(project, "trust", "remove", str(ALICE))
    assert (again.returncode, "is not trusted" in again.stderr) == (2, True)
    assert techsapo(project, "trust", "add", "no-such-user").returncode == 2
    assert "as it is" in techsapo(project, "trust", "add", "root").stderr


def test_a_list_that_others_may_write_ends_every_command(project: Path) -> None:
    techsapo(project, "trust", "add", str(ALICE))
    listed = list_of_users(project)
    listed.chmod(0o666)
    for words in (("validate",), ("trust", "list"), ("trust", "add", str(BOB)), ("plan",), ("ps",)):
        assert f"chmod o-w {listed}" in refused(techsapo(project, *words), listed)
    assert listed.read_text() == f"{ALICE}\n"


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


@pytest.mark.parametrize("command", [("generate",), ("plan",)], ids=" ".join)
def test_root_runs_and_writes_down_no_program_of_a_folder_that_is_first_on_path(
    project: Path, hostile: Path, command: tuple[str, ...]
) -> None:
    (project / "techsapo.yaml").write_text(
        f"{SPEC}engine: native\napp: {{instances: [{{port: 4000}}, {{port: 4001}}]}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-m", "techsapo_ops", *command], cwd=project, capture_output=True, text=True,
        check=False, timeout=120, env={**os.environ, "PATH": f"{hostile}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode in {0, 100}, done.stderr
    assert not (project.parent / "ran").exists()
    if command == ("generate",):
        written = (project / ".techsapo/generated/supervisor/supervisord.conf").read_text()
        assert " /usr/sbin/nginx " in written
        everything = b"".join(p.read_bytes() for p in (project / ".techsapo").rglob("*") if p.is_file())
        assert str(hostile).encode() not in everything


def test_roots_jobs_search_the_fixed_path_too(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{hostile}:/usr/bin")
    root_path.fix_search_path()
    assert host_tables._path() == os.environ["PATH"] == root_path.ROOT_PATH


@pytest.mark.parametrize("command", [("plan",), ("up", "--yes"), ("generate",), ("health",)], ids=" ".join)
def test_a_program_of_another_user_in_a_system_folder_is_refused_before_anything_is_done(
    project: Path, hostile: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(root_path, "ROOT_PATH", f"{hostile}:/usr/bin:/bin")
    said = refused(techsapo(project, *command), hostile / "promtool")
    assert f"chown root {hostile} " in said
    assert not (project.parent / "ran").exists()
    assert not (project / ".techsapo").exists()
    (finding, *_) = json.loads(techsapo(project, "doctor", "--json").stdout)["findings"]
    assert (finding["topic"], finding["level"]) == ("trust", "missing")


def test_a_hook_that_another_user_may_change_is_refused_long_before_a_certificate_is_renewed(
    project: Path,
) -> None:
    hook = project.parent / "hook"
    hook.touch()
    owned_by(ALICE, hook)
    spec = project / "techsapo.yaml"
    spec.write_text(
        f"{SPEC}certificates:\n  site:\n    source: self-signed\n    names: [a.example]\n"
        f"    deploy_hooks: ['{hook} --now']\n"
    )
    for command in ("plan", "up"):
        assert f"`chown root {hook}`" in refused(techsapo(project, command), hook)
    spec.write_text(spec.read_text().replace(f"'{hook} --now'", '"true \'open"'))
    assert "Traceback" not in techsapo(project, "validate").stderr


@pytest.mark.parametrize("by", ["cron", "systemd"])
def test_what_only_sudo_makes_trusted_is_refused_by_plan_and_up_where_jobs_run_without_it(
    project: Path, by: str
) -> None:
    spec = project / "techsapo.yaml"
    spec.write_text(f"{SPEC}engine: native\nschedule: {{by: {by}}}\n")
    owned_by(ALICE, project, spec)
    for command in (("plan",), ("up", "--yes"), ("cron", "install")):
        said = refused(techsapo(project, *command, SUDO_UID=str(ALICE)), project)
        assert f"`techsapo trust add {ALICE}`" in said
    assert techsapo(project, "validate", SUDO_UID=str(ALICE)).returncode == 0
    techsapo(project, "trust", "add", str(ALICE))
    assert techsapo(project, "plan", SUDO_UID=str(ALICE)).returncode == 100


def test_a_stack_whose_own_scheduler_knows_of_sudo_is_told_what_a_reboot_needs(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned_by(ALICE, project, project / "techsapo.yaml")
    monkeypatch.setattr(trusted_users, "TRUSTED_USERS", list_of_users(project))
    monkeypatch.setenv("SUDO_UID", str(ALICE))
    opened = open_project(project / "techsapo.yaml")
    said = require_trust_of_jobs(topology_for(opened, "native"))
    assert said is not None
    assert f"`techsapo trust add {ALICE}`" in said.hint
    owned_by(0, project, project / "techsapo.yaml")
    assert require_trust_of_jobs(topology_for(opened, "native")) is None


def test_without_root_the_rule_is_oneself(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = project / "techsapo.yaml"
    owned_by(BOB, project, spec)
    monkeypatch.setattr(os, "geteuid", lambda: BOB)
    assert techsapo(project, "validate").returncode == 0
    assert techsapo(project, "validate", SUDO_UID=str(ALICE)).returncode == 0
    owned_by(ALICE, spec)
    said = refused(techsapo(project, "validate", SUDO_UID=str(ALICE)), spec)
    assert f"`sudo chown {BOB} {spec}`" in said
    assert "trust add" not in said
    owned_by(BOB, spec)
    spec.chmod(0o646)
    assert f"`chmod o-w {spec}`" in refused(techsapo(project, "plan"), spec)


def test_doctor_shows_it_as_a_check_and_reads_nothing_else(project: Path) -> None:
    fine = json.loads(techsapo(project, "doctor", "--json").stdout)
    assert [f["level"] for f in fine["findings"] if f["topic"] == "trust"] == ["ok"]
    owned_by(ALICE, project / "techsapo.yaml")
    done = techsapo(project, "doctor", "--json")
    found = json.loads(done.stdout)["findings"]
    assert done.returncode == 1
    assert {f["topic"] for f in found} == {"trust"}
    assert {f["level"] for f in found} == {"missing"}
    assert f"techsapo trust add {ALICE}" in found[-1]["remedy"]


def test_doctor_shows_a_folder_of_templates_that_the_spec_names_as_a_check_too(project: Path) -> None:
    (project / "techsapo.yaml").write_text(f"{SPEC}template_overrides: mine\n")
    (project / "mine").mkdir()
    owned_by(ALICE, project / "mine")
    done = techsapo(project, "doctor", "--json")
    found = json.loads(done.stdout)["findings"]
    assert {f["topic"] for f in found} == {"trust"}
    assert f"chown root {project / 'mine'}" in found[-1]["remedy"]


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
    assert str(run["error"]).startswith(f"`chown root {project} {project / 'techsapo.yaml'}")
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


def test_a_package_of_another_user_is_refused_with_the_command_that_helps(
    checkout: Path, project: Path
) -> None:
    owned_by(ALICE, checkout)
    said = refused(techsapo_of(checkout, project, "validate"), checkout)
    assert f"chown root {checkout}`" in said
    assert techsapo_of(checkout, project, "validate", SUDO_UID=str(ALICE)).returncode == 0
    techsapo_of(checkout, project, "trust", "add", str(ALICE))
    assert techsapo_of(checkout, project, "validate").returncode == 0


@pytest.mark.parametrize(
    "name", ["techsapo_ops/cli/commands/ps.py", "templates/supervisor/supervisord.conf.j2"]
)
@pytest.mark.parametrize("how", ["owner", "mode"])
def test_a_file_in_the_package_that_others_can_change_is_refused(
    checkout: Path, project: Path, name: str, how: str
) -> None:
    """What is left where the folders alone were given to root, as one is asked to."""
    if how == "owner":
        owned_by(ALICE, checkout / name)
    else:
        (checkout / name).chmod(0o666)
    said = refused(techsapo_of(checkout, project, "validate"), checkout / name)
    command = "chown -R root" if how == "owner" else "chmod -R o-w"
    assert f"{command} {checkout / name.partition('/')[0]}`" in said


def test_a_folder_that_python_imports_from_is_judged_too(project: Path, tmp_path: Path) -> None:
    imported = tmp_path / "imported"
    imported.mkdir()
    owned_by(ALICE, imported)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "techsapo_ops", "plan"], cwd=project, capture_output=True, text=True,
        check=False, timeout=60, env={**os.environ, "PYTHONPATH": str(imported)},
    )  # fmt: skip
    assert f"{imported} is owned by uid {ALICE}" in done.stderr
    project.chmod(0o1777)
    (project / "techsapo.yaml").unlink()
    here = subprocess.run(
        [sys.executable, "-m", "techsapo_ops", "init", "elsewhere"], cwd=project, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "start it in another folder" in here.stderr


def test_a_job_of_an_ordinary_user_that_is_refused_is_recorded_with_that_users_rights(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = project / ".techsapo"
    state.mkdir()
    owned_by(BOB, project, project / "techsapo.yaml", state)
    project.chmod(0o757)
    monkeypatch.setattr(os, "geteuid", lambda: BOB)
    monkeypatch.setattr(os, "setresuid", lambda *_: pytest.fail("it is that user already"))
    refused(techsapo(project, "jobs", "run", "drift", "--by", "cron"), project)
    run = run_of(project)
    assert (run["result"], run["exit_code"]) == ("failed", 1)
    assert str(run["error"]).startswith(f"`chmod o-w {project}`")


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
    assert f"`techsapo trust add {ALICE}`" in done.stderr
    assert not (project / ".techsapo").exists()
