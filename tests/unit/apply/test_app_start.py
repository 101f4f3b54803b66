"""The app's reasons not to start: the same for validate, plan, up, restart and the app."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import in_process
import pytest
import warm
from fakes.memory_project import MemoryProject
from rows import each_row

from techsapo_ops.errors import OpsError
from techsapo_ops.stores.keys import KeyFile, new_key

LOCAL = {"kind": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
UNPRICED: dict[str, Any] = {"a": LOCAL, "b": LOCAL}
PRICED: dict[str, Any] = {n: {**LOCAL, "price": {"input": 0, "output": 0}} for n in UNPRICED}
SMALL = {"monitoring": {n: {"enabled": False} for n in ("prometheus", "alertmanager", "grafana")}}


def techsapo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return in_process.techsapo(folder, *words, env={"PATH": ""})


KEYS = {"app": {"auth": {"required": True, "refuse_without_keys": True}}}
WEIGHTS = {"wallbounce": {"calibration": "weights.json"}}
REASONS: list[tuple[dict[str, Any], dict[str, str], str]] = [
    ({"providers": UNPRICED}, {}, "its price is unknown"),
    (KEYS, {}, "requests need an API key and there is none"),
    (KEYS, {".techsapo/api-keys/keys.json": "{"}, "is not a file of API keys"),
    (WEIGHTS, {"weights.json": "[]"}, "is not a calibration file"),
    (WEIGHTS, {}, "calibration"),
]
"""Sections of the spec and files beside it, and why the app could not start with them."""


def given(folder: Path, sections: dict[str, Any], files: dict[str, str]) -> None:
    (folder / "techsapo.yaml").write_text(json.dumps({"project": "x", **SMALL, **sections}))
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@each_row("sections, files, reason", REASONS)
def test_validate_plan_up_and_the_app_have_the_same_reason(
    tmp_path: Path, sections: dict[str, Any], files: dict[str, str], reason: str
) -> None:
    given(tmp_path, sections, files)
    validated = techsapo(tmp_path, "validate")
    assert (validated.returncode, validated.stdout) == (1, "")
    assert reason in validated.stderr
    assert validated.stderr.startswith("techsapo.yaml:1:")
    assert json.loads(techsapo(tmp_path, "validate", "--json").stdout)["valid"] is False

    planned = techsapo(tmp_path, "plan")
    assert planned.returncode == 1
    assert reason in planned.stderr
    assert "next:" not in planned.stderr
    served = warm.run(
        [sys.executable, "-m", "techsapo_ops", "serve", "--port", "4999"], cwd=tmp_path, text=True
    )  # it sets up the logs of its process
    for done in (techsapo(tmp_path, "up", "--dry-run"), techsapo(tmp_path, "up"), served):
        assert (done.returncode, reason in done.stderr) == (1, True), done.stderr
    assert not (tmp_path / ".techsapo" / "ledger").exists()


def test_every_reason_is_named_at_once(tmp_path: Path) -> None:
    unpriced, keyless, _, bad_weights, _ = REASONS
    given(tmp_path, unpriced[0] | keyless[0] | bad_weights[0], bad_weights[1])
    said = techsapo(tmp_path, "validate").stderr
    assert all(reason in said for _, _, reason in (unpriced, keyless, bad_weights))


def test_nothing_of_a_running_stack_is_touched_by_an_up_after_which_the_app_could_not_start(
    tmp_path: Path,
) -> None:
    project = MemoryProject(tmp_path)
    project.up(sections={"providers": PRICED})
    before, done = project.ledger.entries(), dict(project.world.processes)
    with pytest.raises(OpsError, match="nothing was changed") as caught:
        project.up(sections={"providers": UNPRICED})
    assert "its price is unknown" in caught.value.message
    assert (project.ledger.entries(), project.world.processes) == (before, done)


def test_an_up_that_leaves_the_app_alone_does_not_ask_whether_it_could_start(tmp_path: Path) -> None:
    project = MemoryProject(tmp_path)
    keys = KeyFile(project.history.layout.api_keys)
    keys.path.parent.mkdir(parents=True)
    key, _ = new_key("ci", plan="basic", scopes=("ask",), now=datetime.now(UTC))
    keys.write((key,))
    project.up(sections=KEYS)
    keys.write(())
    assert not project.up(sections=KEYS).changed
    with pytest.raises(OpsError, match="there is none"):
        project.up(sections=KEYS | {"wallbounce": {"cache_ttl": "7m"}})


def test_going_back_to_an_apply_whose_app_could_not_start_stops_nothing(tmp_path: Path) -> None:
    project = MemoryProject(tmp_path)
    (tmp_path / "weights.json").write_text('{"format": 4, "calibration": {}}')
    project.up(sections=WEIGHTS)
    project.up()
    (tmp_path / "weights.json").unlink()
    done = dict(project.world.processes)
    with pytest.raises(OpsError, match="the app could not start"):
        project.rollback()
    assert project.world.processes == done


def test_a_provider_that_the_app_leaves_out_is_not_called_valid_without_a_word(tmp_path: Path) -> None:
    spec = {"project": "x", "providers": {**PRICED, "c": LOCAL}}
    (tmp_path / "techsapo.yaml").write_text(json.dumps(spec))
    done = techsapo(tmp_path, "validate")
    assert done.returncode == 0
    assert "providers.c: is not used: its price is unknown" in done.stderr


@each_row("kind, title", [("redis", "Redis"), ("mysql", "MariaDB")])
def test_a_store_on_another_host_is_said_to_be_unsupported(tmp_path: Path, kind: str, title: str) -> None:
    spec = {"project": "x", kind: {"host": "db.internal"}}
    (tmp_path / "techsapo.yaml").write_text(json.dumps(spec))
    named = techsapo(tmp_path, "validate")
    assert named.returncode == 1
    assert f"{kind}.host: 'db.internal' is not an address to listen on" in named.stderr
    assert "external servers are not supported" in named.stderr

    project = MemoryProject(tmp_path)
    with pytest.raises(OpsError, match=r"203\.0\.113\.9 is not an address of this host") as caught:
        project.up(sections={kind: {"host": "203.0.113.9"}})
    assert f"an external {title} is not supported" in caught.value.message
    assert not (tmp_path / ".techsapo" / "ledger").exists()


def test_a_new_calibration_is_a_change_like_any_other_and_goes_back(tmp_path: Path) -> None:
    project = MemoryProject(tmp_path)
    rendered, weights = project.config / "app" / "calibration.json", tmp_path / "weights.json"
    first, second = (json.dumps({"format": 4, "calibration": {"contradicted": n}}) for n in (0, 1))
    weights.write_text(first)
    project.up(sections=WEIGHTS)
    weights.write_text(second)
    assert project.up(sections=WEIGHTS).changed
    assert rendered.read_text() == second
    project.rollback()
    assert rendered.read_text() == first
    assert not project.up(sections=WEIGHTS).changed, "the file itself went back too"
