"""init, validate, config show, schema and explain, as a user runs them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from in_process import techsapo
from rows import each_row

from techsapo_ops.adapters.folders import keep_out_of_git

GOOD = "project: x\nredis: {password: hunter2}\n"
BAD = "project: x\napp: {port: 99999}\nrediss: {}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "techsapo.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "bad.yaml").write_text(BAD, encoding="utf-8")
    return tmp_path


def test_validate_says_that_a_spec_is_valid_and_what_it_holds(folder: Path) -> None:
    done = techsapo(folder, "validate")
    assert done.returncode == 0
    assert done.stdout == "techsapo.yaml is valid\n"
    quiet = techsapo(folder, "validate", "-q")
    assert (quiet.stdout, quiet.stderr) == ("", "")


def test_validate_says_where_the_spec_has_containers_and_nobody_starts_their_jobs(folder: Path) -> None:
    (folder / "compose.yaml").write_text("project: x\nengine: compose\n", encoding="utf-8")
    said = techsapo(folder, "validate", "-F", "compose.yaml").stderr
    assert "nothing starts the jobs, so nothing is backed up: set `schedule.by` to `cron`" in said
    assert "nothing starts the jobs" not in techsapo(folder, "validate").stderr


@each_row("words", [["validate"], ["plan"], ["up", "--yes"], ["config", "generate"]], ids=str)
def test_rules_of_ones_own_are_an_error_of_the_spec_wherever_it_is_used(
    folder: Path, words: list[str]
) -> None:
    (folder / "techsapo.yaml").write_text("project: x\nengine: native\nmonitoring:\n  rules: [own.yml]\n")
    taken = "{alert: AppDown, expr: up, labels: {page: 'yes'}}"
    (folder / "own.yml").write_text(f"groups:\n- name: a\n  rules:\n  - {taken}\n")
    done = techsapo(folder, *words)
    assert done.returncode == 1
    at = "techsapo.yaml:4:11 monitoring.rules.0: own.yml:4: "
    assert f"{at}AppDown is the name of a techsapo alert; give it another name" in done.stderr
    assert f"{at}the label page is not true, so the alert pages nobody" in done.stderr
    assert not (folder / ".techsapo/generated").exists()


def test_promtool_judges_rules_of_ones_own_before_anything_is_rendered(folder: Path) -> None:
    (folder / "techsapo.yaml").write_text("project: x\nengine: native\nmonitoring:\n  rules: [own.yml]\n")
    (folder / "own.yml").write_text("groups: [{name: a, rules: [{alert: Own, expr: up}]}]\n")
    promtool = folder / "bin" / "promtool"
    promtool.parent.mkdir()
    promtool.write_text("#!/bin/sh\necho Checking $5; echo '  FAILED:' $5: 4:7: parse error >&2; exit 1\n")
    promtool.chmod(0o755)
    env = {"PATH": f"{promtool.parent}:{os.environ['PATH']}"}
    for words in (["validate"], ["plan"], ["up", "--yes"], ["config", "generate"]):
        done = techsapo(folder, *words, env=env)
        assert done.returncode == 1
        refused = f"promtool refuses {folder / 'own.yml'}: 4:7: parse error"
        assert f"techsapo.yaml:4:11 monitoring.rules.0: {refused}" in done.stderr, words


def test_validate_prints_every_error_on_stderr_and_fails(folder: Path) -> None:
    done = techsapo(folder, "validate", "-F", "bad.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "bad.yaml:2:13 app.port: must be between 1 and 65535, not 99999",
        "bad.yaml:3:1 rediss: unknown key; did you mean redis?",
        "2 problems",
    ]


def test_validate_prints_nothing_but_json_on_request(folder: Path) -> None:
    good = techsapo(folder, "validate", "--json")
    assert json.loads(good.stdout)["valid"] is True
    bad = techsapo(folder, "validate", "--json", "-F", "bad.yaml")
    assert bad.returncode == 1
    assert bad.stderr == ""
    assert json.loads(bad.stdout)["problems"][1] == {
        "line": 3, "column": 1, "path": "rediss", "message": "unknown key", "hint": "did you mean redis?",
    }  # fmt: skip


def test_validate_reads_variables_from_dotenv_and_the_environment_wins(folder: Path) -> None:
    (folder / "v.yaml").write_text("project: ${NAME}\napp: {port: '${PORT}'}\n", encoding="utf-8")
    (folder / ".env").write_text("NAME=fromfile\nPORT=no\n", encoding="utf-8")
    assert "app.port: must be a whole number" in techsapo(folder, "validate", "-F", "v.yaml").stderr
    assert techsapo(folder, "validate", "-F", "v.yaml", env={"PORT": "4010"}).returncode == 0
    shown = techsapo(folder, "config", "show", "--json", "-F", "v.yaml", env={"PORT": "4010", "NAME": "env"})
    assert json.loads(shown.stdout)["project"] == "env"


def test_config_show_masks_secrets_and_prints_a_spec_that_is_valid(folder: Path) -> None:
    done = techsapo(folder, "config", "show")
    assert done.returncode == 0
    assert "hunter2" not in done.stdout + done.stderr
    assert 'password: "********"' in done.stdout
    (folder / "again.yaml").write_text(done.stdout, encoding="utf-8")
    assert techsapo(folder, "validate", "-F", "again.yaml").returncode == 0


def test_no_command_shows_a_secret_of_an_extra_body_and_the_app_is_given_it(folder: Path) -> None:
    spec = folder / "techsapo.yaml"
    spec.write_text(
        "project: x\n"
        "providers:\n"
        "  a: &a {kind: openai-compatible, model: m, base_url: 'http://127.0.0.1:1/v1',\n"
        "         price: {input: 0, output: 0}, extra_body: {user: {api_key: b0dy-s3cret}, seed: 7}}\n"
        "  b: {<<: *a, model: o}\n"
    )
    generated = techsapo(folder, "config", "generate")
    assert generated.returncode == 0, generated.stderr
    file = folder / ".techsapo/generated/app/techsapo.yaml"
    assert "b0dy-s3cret" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    said = [techsapo(folder, "config", "show"), techsapo(folder, "config", "show", "--json")]
    spec.write_text(spec.read_text().replace("b0dy-s3cret", "0ther-s3cret"))
    said += [techsapo(folder, "plan", "--json"), techsapo(folder, "plan", "--diff")]
    assert [done.returncode for done in said] == [0, 0, 100, 100]
    assert "app/techsapo.yaml" in said[2].stdout
    for done in said:
        assert "s3cret" not in done.stdout + done.stderr, done.args


def test_explain_prints_type_default_and_help(tmp_path: Path) -> None:
    done = techsapo(tmp_path, "config", "explain", "app.drain")
    assert done.stdout.startswith("app.drain: duration")
    assert done.stdout.endswith("default: 5s\n")
    assert "weight" in techsapo(tmp_path, "config", "explain", "app.instances").stdout
    assert "certificates" in techsapo(tmp_path, "config", "explain").stdout
    assert json.loads(techsapo(tmp_path, "config", "explain", "app.port", "--json").stdout)["default"] == 4000


def test_a_secret_that_no_terminal_shows_is_printed_as_json_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "techsapo.yaml").write_text('project: x\nredis: {password: "a\\u200bc\\u202ed-password"}\n')
    (tmp_path / "techsapo.yaml").chmod(0o600)
    (tmp_path / "redis-server").touch(0o755)
    show, server = ("config", "secrets", "show", "redis"), {"PATH": str(tmp_path)}
    plain = techsapo(tmp_path, *show, env=server)
    assert (plain.returncode, plain.stdout) == (1, "")
    assert "--json prints the secret" in plain.stderr
    told = json.loads(techsapo(tmp_path, *show, "--json", env=server).stdout)
    assert told["secret"] == "a\u200bc\u202ed-password"


def test_init_writes_a_valid_spec_and_a_fresh_password_that_only_its_owner_reads(tmp_path: Path) -> None:
    done = techsapo(tmp_path, "init")
    assert (done.returncode, done.stdout) == (0, "")
    password = tmp_path / "secrets/grafana"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert stat.S_IMODE(password.parent.stat().st_mode) == 0o700
    assert len(password.read_text(encoding="utf-8").strip()) >= 20
    assert password.read_text(encoding="utf-8").strip() not in done.stderr
    assert techsapo(tmp_path, "validate").returncode == 0
    (tmp_path / "other").mkdir()
    assert techsapo(tmp_path / "other", "init").returncode == 0
    other = (tmp_path / "other/secrets/grafana").read_text(encoding="utf-8")
    assert other != password.read_text(encoding="utf-8"), "each has its own"


def test_init_names_the_project_after_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "My Shop (本番)"
    done = techsapo(tmp_path, "init", str(folder))
    assert done.returncode == 0, done.stderr
    assert "project: my-shop\n" in (folder / "techsapo.yaml").read_text(encoding="utf-8")
    assert f"--file '{folder}/techsapo.yaml'" in done.stderr
    assert techsapo(tmp_path, "validate", "-F", str(folder / "techsapo.yaml")).returncode == 0


def test_init_overwrites_nothing_without_force_and_never_a_password(tmp_path: Path) -> None:
    techsapo(tmp_path, "init")
    password = (tmp_path / "secrets/grafana").read_text(encoding="utf-8")
    (tmp_path / "techsapo.yaml").write_text("project: mine\n", encoding="utf-8")
    done = techsapo(tmp_path, "init")
    assert done.returncode == 1
    assert "techsapo.yaml already exists" in done.stderr
    assert (tmp_path / "techsapo.yaml").read_text(encoding="utf-8") == "project: mine\n"
    assert techsapo(tmp_path, "init", "--force").returncode == 0
    assert (tmp_path / "secrets/grafana").read_text(encoding="utf-8") == password
    assert (tmp_path / "techsapo.yaml").read_text(encoding="utf-8") != "project: mine\n"


def staged_by_git(folder: Path) -> list[str]:
    """What `git add -A` takes in."""
    for words in (["init", "--quiet"], ["add", "-A"]):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
    listed = subprocess.run(["git", "ls-files"], cwd=folder, check=True, capture_output=True, text=True)
    return listed.stdout.split()


def test_git_takes_in_no_password_of_a_fresh_project(tmp_path: Path) -> None:
    techsapo(tmp_path, "init")
    (tmp_path / ".techsapo" / "keys").mkdir()
    (tmp_path / ".techsapo" / "keys" / "mysql-password").write_text("secret")
    assert staged_by_git(tmp_path) == ["techsapo.yaml"]


def test_a_state_folder_is_kept_out_of_git_by_whichever_command_makes_it(tmp_path: Path) -> None:
    """A spec that was written by hand, and no `init` or `up` before API keys or a backup's key."""
    (tmp_path / "techsapo.yaml").write_text("project: lab\n")
    assert techsapo(tmp_path, "keys", "create", "ci").returncode == 0
    assert (tmp_path / ".techsapo" / "api-keys" / "keys.json").exists()
    assert staged_by_git(tmp_path) == ["techsapo.yaml"]


@each_row("kind", ["file", "link"])
def test_a_gitignore_of_somebodys_own_stays(tmp_path: Path, kind: str) -> None:
    own = tmp_path / ".techsapo" / ".gitignore"
    own.parent.mkdir()
    if kind == "file":
        own.write_text("keys/\n")
    else:
        own.symlink_to("nowhere")
    keep_out_of_git(own.parent)
    assert own.is_symlink() if kind == "link" else own.read_text() == "keys/\n"


def test_the_copy_of_the_example_has_a_grafana_password_of_its_own(tmp_path: Path) -> None:
    """`make up` copied the example, and Grafana kept its default password."""
    example = Path(__file__).parents[3] / "examples" / "techsapo.yaml"
    done = techsapo(tmp_path, "init", "--example", str(example), "techsapo.yaml")
    assert done.returncode == 0, done.stderr
    assert f"wrote techsapo.yaml, a copy of {example}\n" in done.stderr
    password = tmp_path / "secrets" / "grafana"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    copy = (tmp_path / "techsapo.yaml").read_text(encoding="utf-8")
    assert copy.startswith(example.read_text(encoding="utf-8"))
    checked = techsapo(tmp_path, "validate")
    assert checked.returncode == 0
    assert "grafana" not in checked.stderr.lower()
    again = techsapo(tmp_path, "init", "--example", str(example), "techsapo.yaml")
    assert again.returncode == 1, "it is kept"


def test_a_secret_that_is_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "techsapo.yaml").write_text("project: x\nredis: {password_file: pipe}\n", encoding="utf-8")
    waiting = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("hunter2"), daemon=True)
    waiting.start()  # who read it got this once, and would wait for ever the second time
    done = techsapo(tmp_path, "validate")
    assert done.returncode == 1
    assert "redis.password_file: cannot read pipe: this is not a regular file" in done.stdout + done.stderr
    (tmp_path / "pipe").read_text()
    waiting.join(60)
    (tmp_path / "techsapo.yaml").write_text("project: x\nredis: {password_file: /dev/null}\n")
    done = techsapo(tmp_path, "validate")
    assert "cannot read /dev/null: this is not a regular file" in done.stdout + done.stderr
