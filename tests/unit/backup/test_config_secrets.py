"""A backup of the configuration holds no secret, wherever the spec has it, and comes back with all."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.open_stacks import with_backup

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.backup.config_places import config_source
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.project import open_project
from techsapo_ops.operations.backup import restore
from techsapo_ops.operations.backup.create import create_backup
from techsapo_ops.operations.backup.intent import intend
from techsapo_ops.services.app.rendered_spec import app_spec_files
from techsapo_ops.spec.logins import open_secrets
from techsapo_ops.spec.models.data import Backup
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
