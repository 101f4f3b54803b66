"""A backup of the configuration holds no secret and comes back with all, and the operator's templates."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import hostile
import pytest
import yaml
from fakes.open_stacks import stack_in, with_backup
from hostile import END, ID, entry, names_of
from projects import only_redis
from rows import each_row

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.kinds.config_archive import config_source
from techsapo_ops.backup.kinds.secret_files import filled
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.backup.restore import run as restore
from techsapo_ops.backup.restore.intent import intend
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.project import open_project
from techsapo_ops.errors import OpsError
from techsapo_ops.services.app.rendered_spec import app_spec_files
from techsapo_ops.spec.models.upkeep import Backup
from techsapo_ops.spec.redact import open_secrets
from techsapo_ops.stack.stack import Stack

SPEC = """\
# routing: R0uting-of-us (written down here too)
project: lab
engine: native
providers:
  local: {kind: openai-compatible, model: m, base_url: "https://alice:pr0xy-word@llm.example.com/v1"}
  other: {kind: openai-compatible, model: m, base_url: 'https://llm.example.com/v1?api_key=qu3ry-key'}
  third: {kind: openai-compatible, model: m, base_url: 'https://plain.example.com/v1'}
monitoring: {prometheus: {enabled: false}, alertmanager: {enabled: false}, grafana: {enabled: false}}
notifications:
  receivers:
    team:
      kind: alertmanager
      config:
        pagerduty_configs: [{routing_key: R0uting-of-us, client: ordinary}]
        opsgenie_configs: [{api_key: 12345678, api_url: https://api.opsgenie.example.com/}]
    watcher:
      kind: alertmanager
      config:
        webhook_configs:
          - url: https://hooks.example.com/w4tch
            http_config: {authorization: {type: Bearer, credentials: Cr3dential}}
  critical: [team]
  watchdog: [watcher]
redis: {port: 6399}
backup:
  offsite: {restic: "rest:https://bob:r3stic-word@backup.example.com/x", password: 0ffsite-word}
environments:
  production:
    redis: {password: 0verlay-word}
    notifications:
      receivers:
        team: {kind: alertmanager, config: {discord_configs: [{webhook_url: 'https://d.example.com/d1scord'}]}}
"""
SECRETS = (
    "R0uting-of-us", "pr0xy-word", "qu3ry-key", "12345678", "w4tch", "Cr3dential", "r3stic-word",
    "0ffsite-word", "0verlay-word", "d1scord",
)  # fmt: skip
ORDINARY = ("ordinary", "https://api.opsgenie.example.com/", "Bearer", "https://plain.example.com/v1")


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    file = tmp_path / "techsapo.yaml"
    file.write_text(SPEC)
    return open_stack(open_project(file))


def test_no_secret_of_the_spec_is_in_a_backup_and_what_is_none_stays_readable(stack: Stack) -> None:
    part = config_source(stack).take(stack.directory, "now", lambda _: None)
    plain = b"".join(PackedReader(stack.directory / part.file)).decode()
    assert [secret for secret in SECRETS if secret in plain] == []
    assert [word for word in ORDINARY if word not in plain] == []


def test_a_restore_brings_the_spec_back_with_every_secret_of_the_one_that_is_here(stack: Stack) -> None:
    file = stack.layout.spec_file
    before = file.read_text()
    stack = with_backup(stack, Backup())  # nothing is copied to another place here
    create_backup(stack, only=("config",))
    file.write_text(before.replace("port: 6399", "port: 6398"))
    restore.perform(stack, intend(stack, "latest", ("config",)))
    assert file.read_text().partition("\n")[2] == before.partition("\n")[2]


def test_a_variable_is_no_secret_by_itself_and_an_escaped_dollar_is_read_as_one(stack: Stack) -> None:
    found = open_secrets(stack.spec, {"redis": {"password": "${P}"}, "mysql": {"password": "a$${b}"}})
    assert "a${b}" in found
    assert not [value for value in found if "P}" in value]


def test_the_apps_part_of_the_spec_is_for_the_app_alone_where_a_login_is_in_it(
    stack: Stack,
) -> None:
    (file,) = app_spec_files(stack.topology)
    assert (file.mode, file.secret, file.owner) == (0o600, True, "app")


PRESENT = """\
project: lab
redis: {password: 'it''s hard', port: 1}   # s3cret
notifications:
  receivers:
    team: {kind: slack, url: "https://hooks.example.com/a"}
    mail: {kind: email, to: ops@example.com}
  critical: [team, mail]
providers:
  鍵: {kind: openai, model: gpt-6.1-sol, api_key: sk-1}
"""


def test_each_masked_value_is_written_as_the_present_spec_writes_it() -> None:
    backed_up = """\
redis:
  port: 2
  password: "********"
providers: {鍵: {kind: openai, api_key: "********"}, other: {kind: simulated}}
# comments keep "********"
notifications: {receivers: {team: {kind: slack, url: "********"}}}
"""
    assert filled(backed_up, PRESENT, "techsapo.yaml") == (
        """\
redis:
  port: 2
  password: 'it''s hard'
providers: {鍵: {kind: openai, api_key: sk-1}, other: {kind: simulated}}
# comments keep "********"
notifications: {receivers: {team: {kind: slack, url: "https://hooks.example.com/a"}}}
"""
    )


@each_row(
    "backed_up, present, place",
    [
        ('mysql: {password: "********"}\n', PRESENT, "techsapo.yaml:1 mysql.password"),
        ('redis:\n  password: "********"\n', "", "techsapo.yaml:2 redis.password"),
        ('redis: {password: "********"}\n', 'redis: {password: "********"}\n', "redis.password"),
        # The receiver is of another kind now: its URL is not this one's.
        (
            'notifications: {receivers: {team: {kind: webhook, url: "********"}}}\n',
            PRESENT,
            "techsapo.yaml:1 notifications.receivers.team.url",
        ),
        (
            'notifications: {receivers: {other: {kind: slack, url: "********"}}}\n',
            PRESENT,
            "notifications.receivers.other.url",
        ),
    ],
)
def test_a_secret_that_is_not_there_is_named_by_its_place(backed_up: str, present: str, place: str) -> None:
    with pytest.raises(OpsError, match="is masked in the backup") as caught:
        filled(backed_up, present, "techsapo.yaml")
    assert place in caught.value.message
    assert "off-site" in caught.value.hint


def test_a_spec_without_masks_stays_byte_for_byte() -> None:
    assert filled(PRESENT, "", "techsapo.yaml") == PRESENT


NAME = "redis/redis.conf.j2"


def write(folder: Path, text: str = "# mine\n") -> None:
    (folder / "redis").mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(text)


def held(stack: Stack) -> dict[str, Path]:
    """The templates of a backup that is taken now, by their names in it."""
    return {n: path for n, path in config_source(stack).trees.items() if n.startswith("template")}


def restored(stack: Stack, files: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Restore a backup with those files; returns what the list of files said of each."""
    pieces = (*(entry(name, text.encode()) for name, text in files.items()), END)
    repository = repository_of(stack)
    repository.make_key()
    hostile.write(repository.path, pieces, names_of(pieces), repository.keyring)
    intent = intend(stack, ID, ("config",))
    restore.perform(stack, intent)
    return {target.path: (target.what, target.why) for target in intent.targets["config"]}


def test_a_backup_holds_the_folder_in_use_by_one_name_wherever_it_is(tmp_path: Path) -> None:
    stack = stack_in(tmp_path / "a", template_overrides="../shared")
    assert held(stack) == {}, "a backup is made also where the folder is not there"
    write(tmp_path / "shared")
    assert held(stack) == {"template-overrides": stack.directory / "../shared"}
    default = stack_in(tmp_path / "b")
    write(default.directory / "template-overrides")
    assert held(default) == {"template-overrides": default.directory / "template-overrides"}


@each_row("folder", [".", "..", ".techsapo"])
def test_a_folder_that_holds_more_than_templates_is_neither_backed_up_nor_written_to(
    tmp_path: Path, folder: str
) -> None:
    stack = stack_in(tmp_path / "project", template_overrides=folder)
    (stack.directory / ".techsapo").mkdir()
    assert held(stack) == {}
    said = restored(stack, {"template-overrides/planted": "x"})
    why = f"{stack.overrides.folder} contains files that are not templates"
    assert said == {"template-overrides/planted": ("left", why)}
    assert not list(tmp_path.rglob("planted"))


@each_row("then, now", [("mine", None), (None, "mine"), ("mine", "other")])
def test_a_spec_that_would_look_for_them_elsewhere_is_refused_before_anything_changes(
    tmp_path: Path, then: str | None, now: str | None
) -> None:
    def named(folder: str | None) -> dict[str, str]:
        return {"template_overrides": folder} if folder is not None else {}

    text = yaml.safe_dump(only_redis(engine="native", **named(then)))
    stack = stack_in(tmp_path / "project", **named(now))
    before = (stack.directory / "techsapo.yaml").read_text()
    files = {"techsapo.yaml": text, f"template-overrides/{NAME}": "# then\n"}
    with pytest.raises(OpsError, match="the spec in the backup has its templates in") as refused:
        restored(stack, files)
    assert "template_overrides" in refused.value.hint
    assert (stack.directory / "techsapo.yaml").read_text() == before
    assert not (stack.directory / (now or "template-overrides")).exists()
    again = stack_in(tmp_path / "project", **named(then))
    shutil.rmtree(repository_of(again).path)
    assert set(restored(again, files).values()) == {("replaced", ""), ("new", "")}
    assert open_stack(open_project(again.directory / "techsapo.yaml")).overrides.obstacle is None
