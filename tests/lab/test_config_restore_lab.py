"""The configuration put back where it was: spec, templates, API keys and configured paths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from projects import Project, only_redis, project

from techsapo_ops.backup.repository import Backup
from techsapo_ops.cli.wiring import backup_stack
from techsapo_ops.operations import restore
from techsapo_ops.operations.backup_stack import Stack
from techsapo_ops.operations.live import LIVE

pytestmark = pytest.mark.lab

PASSWORD = 'it\'s "hard" \\ 鍵'


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Project]:
    extra = tmp_path / "設定 files"
    (extra / "sub").mkdir(parents=True)
    (extra / "sub" / "app.ini").write_text("level = 1\n")
    (extra / "sub" / "app.ini").chmod(0o640)
    spec = only_redis(
        redis={"port": only_redis()["redis"]["port"], "password": PASSWORD},
        backup={"config": {"paths": [str(extra)]}},
    )
    with project(spec) as made:
        (made.directory / "templates" / "redis").mkdir(parents=True)
        (made.directory / "templates" / "redis" / "note.j2").write_text("mine\n")
        (made.layout.api_keys.parent).mkdir(parents=True)
        made.layout.api_keys.write_text("{}\n")
        yield made


def stack_of(made: Project) -> Stack:
    return backup_stack(made.directory / "techsapo.yaml")


def backed_up(made: Project) -> Backup:
    found = json.loads(made.run("backup", "--only", "config", "--json").stdout)
    return stack_of(made).repository.find(found["id"])


def everything(made: Project, tmp_path: Path) -> dict[str, tuple[int, bytes]]:
    files = [made.directory / "techsapo.yaml", made.layout.api_keys]
    files += [p for top in (made.directory / "templates", tmp_path) for p in top.rglob("*") if p.is_file()]
    return {str(p): (p.stat().st_mode, p.read_bytes()) for p in files if p.exists()}


def spoil(made: Project, tmp_path: Path) -> None:
    """As after a bad evening: edited, deleted, and something new."""
    spec = {**made.spec, "app": {**made.spec["app"], "drain": "7s"}}
    (made.directory / "techsapo.yaml").write_text(yaml.safe_dump(spec))
    (tmp_path / "設定 files" / "sub" / "app.ini").unlink()
    (made.directory / "templates" / "redis" / "note.j2").write_text("broken\n")
    made.layout.api_keys.unlink()


def test_it_comes_back_with_its_secrets_and_plan_says_what_up_would_change(
    lab: Project, tmp_path: Path
) -> None:
    before = everything(lab, tmp_path)
    backup = backed_up(lab)
    assert PASSWORD.encode() not in b"".join(p.read_bytes() for p in backup.folder.iterdir())
    spoil(lab, tmp_path)
    new = tmp_path / "設定 files" / "new.ini"
    new.write_text("stays\n")
    lab.run("up")
    pids = lab.pids()
    refused = lab.run("restore", "--only", "config", code=1)
    assert "nothing was changed" in refused.stderr
    done = lab.run("restore", "--only", "config", "--yes")
    assert "techsapo plan" in done.stderr
    assert lab.pids() == pids  # nothing is restarted by it
    assert everything(lab, tmp_path) == {**before, str(new): (new.stat().st_mode, b"stays\n")}
    plan = lab.run("plan", code=100)
    assert "app" in plan.stdout
    assert not (lab.state / "config-before-restore").exists()
    # The safety backup goes back to the bad evening's state.
    safety = next(b for b in stack_of(lab).repository.backups() if b.read().tag == "before-restore")
    lab.run("restore", safety.id, "--only", "config", "--yes")
    assert yaml.safe_load((lab.directory / "techsapo.yaml").read_text())["app"]["drain"] == "7s"


def test_it_is_put_back_where_nothing_runs(lab: Project, tmp_path: Path) -> None:
    before = everything(lab, tmp_path)
    backup = backed_up(lab)
    said = lab.run("restore", backup.id, "--only", "config", "--into", "scratch", code=1).stderr
    assert "config needs no server" in said
    spoil(lab, tmp_path)
    lab.run("restore", backup.id, "--only", "config", "--yes")
    assert everything(lab, tmp_path) == before


def test_a_failure_half_way_puts_every_file_back(
    lab: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = backed_up(lab)
    spoil(lab, tmp_path)
    before = everything(lab, tmp_path)
    stack = stack_of(lab)
    intent = restore.intend(stack, backup.id, ("config",))
    live = LIVE["config"]
    bring = live.bring

    def broken(*arguments: object) -> None:
        bring(*arguments)  # type: ignore[arg-type] # handed on as they are
        raise KeyboardInterrupt

    monkeypatch.setattr(live, "bring", broken)
    with pytest.raises(KeyboardInterrupt):
        restore.perform(stack, intent)
    assert everything(lab, tmp_path) == before
    assert not (lab.state / "config-before-restore").exists()
    assert not (lab.state / "restore.json").exists()


def test_a_spec_that_would_not_hold_or_lacks_its_secret_touches_nothing(lab: Project, tmp_path: Path) -> None:
    backup = backed_up(lab)
    spec = {key: value for key, value in lab.spec.items() if key != "redis"}
    (lab.directory / "techsapo.yaml").write_text(yaml.safe_dump(spec))
    before = everything(lab, tmp_path)
    said = lab.run("restore", backup.id, "--only", "config", "--yes", code=1).stderr
    assert "redis.password is masked in the backup" in said
    assert "nothing was touched" in said
    assert everything(lab, tmp_path) == before
    lab.write()


def test_a_spec_whose_secret_file_is_gone_is_refused_before_anything_changes(
    lab: Project, tmp_path: Path
) -> None:
    secret = lab.directory / "secret of redis"
    secret.write_text("kept elsewhere")
    redis = lab.spec["redis"]
    lab.write(redis={"port": redis["port"], "password_file": secret.name})
    backup = backed_up(lab)
    secret.unlink()
    lab.write(redis=redis)
    before = everything(lab, tmp_path)
    said = lab.run("restore", backup.id, "--only", "config", "--yes", code=1).stderr
    assert "redis.password_file" in said
    assert everything(lab, tmp_path) == before
