"""The configuration put back where it was: spec, templates, API keys and configured paths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import hostile
import pytest
import yaml
from backup_lab import stack_of
from hostile import END, ID, entry, names_of
from projects import Project, only_redis, project

from techsapo_ops.backup.kinds.config import ConfigBackup
from techsapo_ops.backup.repository.folder import Backup, repository_of
from techsapo_ops.backup.restore import run as restore
from techsapo_ops.backup.restore.intent import intend
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.stores.keys import new_key, text_of

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
        backup={"paths": [str(extra)]},
        schedule={"by": "none"},
    )
    key, _ = new_key("ci", plan="basic", scopes=("ask",), now=datetime.now(UTC))
    with project(spec) as made:
        (made.directory / "template-overrides" / "redis").mkdir(parents=True)
        (made.directory / "template-overrides" / "redis" / "note.j2").write_text("mine\n")
        (made.layout.api_keys.parent).mkdir(parents=True)
        made.layout.api_keys.write_text(text_of([key]))
        yield made


def backed_up(made: Project) -> Backup:
    found = json.loads(made.run("backup", "--only", "config", "--json").stdout)
    return repository_of(stack_of(made)).find(found["id"])


def everything(made: Project, tmp_path: Path) -> dict[str, tuple[int, bytes]]:
    files = [made.directory / "techsapo.yaml", made.layout.api_keys]
    files += [
        p for top in (made.directory / "template-overrides", tmp_path) for p in top.rglob("*") if p.is_file()
    ]
    return {str(p): (p.stat().st_mode, p.read_bytes()) for p in files if p.exists()}


def spoil(made: Project, tmp_path: Path) -> None:
    """As after a bad evening: edited, deleted, and something new."""
    spec = {**made.spec, "app": {**made.spec["app"], "drain": "7s"}}
    (made.directory / "techsapo.yaml").write_text(yaml.safe_dump(spec))
    (tmp_path / "設定 files" / "sub" / "app.ini").unlink()
    (made.directory / "template-overrides" / "redis" / "note.j2").write_text("broken\n")
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
    safety = next(b for b in repository_of(stack_of(lab)).backups() if b.read().tag == "before-restore")
    lab.run("restore", safety.id, "--only", "config", "--yes")
    assert read_yaml((lab.directory / "techsapo.yaml").read_text())["app"]["drain"] == "7s"


def test_a_failure_half_way_puts_every_file_back(
    lab: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = backed_up(lab)
    spoil(lab, tmp_path)
    before = everything(lab, tmp_path)
    stack = stack_of(lab)
    intent = intend(stack, backup.id, ("config",))
    bring_back = ConfigBackup.bring_back

    def broken(*arguments: object) -> None:
        bring_back(*arguments)  # type: ignore[arg-type] # handed on as they are
        raise KeyboardInterrupt

    monkeypatch.setattr(ConfigBackup, "bring_back", broken)
    with pytest.raises(KeyboardInterrupt):
        restore.perform(stack, intent)
    assert everything(lab, tmp_path) == before
    assert not (lab.state / "config-before-restore").exists()
    assert not (lab.state / "journal/restore.json").exists()


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


def test_an_archive_of_unknown_origin_has_to_be_accepted_and_writes_only_what_the_spec_names(
    lab: Project, tmp_path: Path
) -> None:
    """Root makes no file with setuid, and none outside the project."""
    conf, victim = tmp_path / "設定 files", tmp_path / "outside" / "victim"
    inside = f"paths/{str(conf).lstrip('/')}"
    pieces = (
        entry(f"paths/{str(victim).lstrip('/')}", mode=0o6755), entry(f"{inside}/tool", mode=0o6755), END,
    )  # fmt: skip
    hostile.write(lab.state / "backups", pieces, names_of(pieces))
    done = json.loads(lab.run("backup", "verify", "--json", code=1).stdout)
    assert (done["authentication"], done["parts"]) == ("unauthenticated", [])
    (listed,) = json.loads(lab.run("backup", "list", "--json").stdout)
    assert (listed["authentication"], listed["authentication_why"]) == ("unauthenticated", "it has no MAC")
    assert "unauthenticated, it has no MAC" in lab.run("backup", "show").stdout
    words = ("restore", "--only", "config")
    for more in (("--yes",), (), ("--dry-run",), ("--into", "scratch")):
        said = lab.run(*words, *more, code=1).stderr
        assert f"unauthenticated: it has no MAC; if it is yours, run `techsapo backup accept {ID}`" in said
    assert f"{ID} is accepted" in lab.run("backup", "accept", ID).stderr
    lab.run("backup", "verify")
    shown = json.loads(lab.run(*words, "--dry-run", "--json").stdout)
    assert shown["targets"]["config"] == [
        {"path": str(victim), "what": "left", "why": "it is not under backup.paths"},
        {"path": str(conf / "tool"), "what": "new", "why": ""},
    ]
    text = lab.run(*words, "--dry-run").stdout
    assert str(victim) in text
    assert str(conf / "tool") in text
    assert not (conf / "tool").exists()
    lab.run(*words, "--yes")
    assert (conf / "tool").stat().st_mode & 0o7777 == 0o755
    assert not victim.exists()


def test_a_backup_that_was_changed_fails_to_verify_and_is_not_restored_until_somebody_vouches_for_it(
    lab: Project, tmp_path: Path
) -> None:
    backup = backed_up(lab)
    shown = json.loads(lab.run("backup", "show", "--json").stdout)
    assert (shown["authentication"], shown["authentication_why"]) == ("authenticated", "")
    lab.run("down", "--volumes", "--yes")
    shown = json.loads(lab.run("backup", "show", "--json").stdout)
    assert shown["authentication"] == "authenticated", "the key does not go with the data"
    text = (backup.folder / "manifest.json").read_bytes()
    hostile.described(backup.folder, text.replace(b'"engine": "native"', b'"engine": "Native"'))
    before = everything(lab, tmp_path)
    spoil(lab, tmp_path)
    said = lab.run("backup", "verify", code=1).stdout
    assert "the backup is unauthenticated: it has no MAC" in said
    figures = (lab.layout.textfiles / "backups.prom").read_text()
    assert 'techsapo_backup_last_verification_success{name="backups"} 0.0' in figures
    words = ("restore", backup.id, "--only", "config", "--yes")
    assert "the backup is unauthenticated" in lab.run(*words, code=1).stderr
    lab.run("backup", "accept", backup.id)  # somebody vouches for it
    lab.run("backup", "verify")
    lab.run(*words)
    assert everything(lab, tmp_path) == before
