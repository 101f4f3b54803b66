from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator import make_spec
from rows import each_row

from techsapo_ops.serve.instance import config_hash, config_since
from techsapo_ops.spec.models import Spec


def spec(**sections: Any) -> Spec:
    return make_spec(**sections)


def test_the_hash_changes_with_what_the_app_reads() -> None:
    assert config_hash(spec()) == config_hash(spec())
    assert config_hash(spec()) != config_hash(spec(budget={"monthly_usd": 1}))


@each_row(
    "sections",
    [
        {"app": {"port": 4444}},
        {"app": {"instances": [{"port": 1}, {"port": 2}]}},
        {"monitoring": {"alerts": {"MemoryHigh": {"threshold": 1}}}},
    ],
)
def test_instances_of_one_stack_have_one_hash_and_a_changed_alert_is_no_change_of_the_app(
    sections: dict[str, Any],
) -> None:
    assert config_hash(spec(**sections)) == config_hash(spec())


def test_a_secret_leaves_no_trace_in_the_hash() -> None:
    def keyed(key: str) -> Spec:
        return spec(providers={"a": {"kind": "openai", "model": "gpt-6.1-sol", "api_key": key}})

    assert config_hash(keyed("sk-one")) == config_hash(keyed("sk-two"))


def test_the_time_of_a_configuration_survives_restarts_until_it_changes(tmp_path: Path) -> None:
    first = config_since(tmp_path, "a")
    assert config_since(tmp_path, "a") == first
    second = config_since(tmp_path, "b")
    assert second > first
    assert config_since(tmp_path, "b") == second


@each_row("broken", ["", "{", "[]", '{"hash": "a"}', '{"hash": "a", "since": "x"}', "\x00"])
def test_a_broken_memory_is_made_anew(broken: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(broken)
    first = config_since(tmp_path, "a")
    assert config_since(tmp_path, "a") == first
