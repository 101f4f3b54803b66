"""The spec as data: masked for people, with secrets as files for the app."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from rows import each_row

from techsapo_ops.spec.load import LoadedSpec, load
from techsapo_ops.spec.redact import as_given, resolved, secrets_of, to_yaml_data

Loader = Callable[..., LoadedSpec]
TEXT = """
project: x
providers:
  gpt: {kind: openai, model: m, api_key: k1}
  b: {kind: openai-compatible, model: m, base_url: "https://me:pw@host/v1"}
notifications:
  receivers:
    team: {kind: slack, url_file: secrets/slack}
    raw:
      kind: alertmanager
      config: {pagerduty_configs: [{routing_key: k2, routing_key_file: f, send_resolved: true}]}
  critical: [team, raw]
redis: {password: k3}
monitoring: {alerts: {MemoryHigh: {for: 1m}}}
schedule: {backup: null}
images: {app: lab/app}
backup: {path: "$${A}"}
"""


def test_secrets_are_found_by_their_path_in_the_specs_order(loaded: Loader) -> None:
    secrets = secrets_of(loaded(TEXT, files={"secrets/slack": "https://u"}).spec)
    assert [(path, s.reveal(), s.file) for path, s in secrets.items()] == [
        ("providers.gpt.api_key", "k1", None),
        ("monitoring.grafana.admin_password", "techsapo2024!", None),
        ("notifications.receivers.team.url", "https://u", "secrets/slack"),
        ("redis.password", "k3", None),
    ]


def test_people_see_masks_files_and_every_default(loaded: Loader) -> None:
    data = resolved(loaded(TEXT, files={"secrets/slack": "https://u"}).spec)
    assert data["providers"]["gpt"]["api_key"] == "********"
    assert data["providers"]["b"]["base_url"] == "https://********@host/v1"
    receivers = data["notifications"]["receivers"]
    assert receivers["team"] == {"kind": "slack", "url_file": "secrets/slack"}
    assert receivers["raw"]["config"]["pagerduty_configs"] == [
        {"routing_key": "********", "routing_key_file": "f", "send_resolved": True}
    ]
    assert data["monitoring"]["alerts"] == {"MemoryHigh": {"enabled": True, "for": "1m"}}
    assert data["schedule"]["backup"] is None
    assert data["logs"] == {"level": "info", "max_size": "10M", "keep": 7, "compress": True}
    assert data["images"] == {"app": "lab/app"}
    assert data["backup"]["path"] == "$${A}"
    assert "environments" not in data
    assert "mysql" not in data


def test_the_app_gets_files_in_place_of_secrets_and_raw_receivers_as_they_are(loaded: Loader) -> None:
    data = to_yaml_data(loaded(TEXT, files={"secrets/slack": "https://u"}).spec, lambda path: f"/run/{path}")
    assert "api_key" not in data["providers"]["gpt"]
    assert data["providers"]["gpt"]["api_key_file"] == "/run/providers.gpt.api_key"
    receivers = data["notifications"]["receivers"]
    assert receivers["team"] == {"kind": "slack", "url_file": "/run/notifications.receivers.team.url"}
    assert receivers["raw"]["config"]["pagerduty_configs"][0]["routing_key"] == "k2"
    assert data["redis"]["password_file"] == "/run/redis.password"


@each_row("name", ["minimal", "techsapo", "guide", "local-llm", "secrets"])
def test_what_was_given_is_the_whole_spec_for_the_version_that_reads_it(loaded: Loader, name: str) -> None:
    example = Path(__file__).parents[3] / f"examples/{name}.yaml"
    text = example.read_text(encoding="utf-8") if example.exists() else TEXT
    files, keys = {"secrets/slack": "https://u"}, {"OPENAI_API_KEY": "k", "SLACK_WEBHOOK_URL": "https://s"}
    spec = loaded(text, env=keys, files=files).spec
    given = as_given(spec)
    again = load(json.dumps(given), {}, files.__getitem__, cross_check=False).spec
    assert resolved(again) == resolved(spec)
    assert {p: (s.reveal(), s.file) for p, s in secrets_of(again).items()} == {
        p: (s.reveal(), s.file) for p, s in secrets_of(spec).items()
    }
    assert len(json.dumps(given)) < len(json.dumps(to_yaml_data(spec, lambda path: path))) / 2
