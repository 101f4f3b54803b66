"""What is really deployed: configs and secrets named by their content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stacks import rendered, spec, topology, with_alerts

from techsapo_ops.adapters.container_facts import STACK_DEFINITION
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.engines.swarm.deployment import Deployment
from techsapo_ops.render.swarm import swarm_units
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.stack_file import STACK_YML

KEY = b"k" * 32
HOSTS = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}


@pytest.fixture
def desired(tmp_path: Path) -> Desired:
    return desired_of(tmp_path)


def desired_of(tmp_path: Path, **sections: Any) -> Desired:
    wanted = spec(engine="swarm", hosts=HOSTS, mysql={}, monitoring=with_alerts(), **sections)
    where = topology(wanted, tmp_path, "swarm")
    files = tuple(rendered(wanted, where).values())
    for path in _made(tmp_path / ".techsapo/generated" / STACK_YML, files):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"made at the first start: {path.name}")
    return Desired(where, files, swarm_units(where, files))


def _made(stack: Path, files: Any) -> list[Path]:
    text = next(file.content for file in files if file.path == STACK_YML)
    secrets = read_yaml(text)["secrets"].values()
    return [(stack.parent / each["file"]).resolve() for each in secrets]


def test_a_name_says_the_content_and_fits_into_dockers_limit(desired: Desired) -> None:
    stack = json.loads(Deployment(desired, KEY).stack(["app-a", "nginx-b"]))
    for kind in ("configs", "secrets"):
        for source, each in stack[kind].items():
            assert len(each["name"]) <= 64, source
    config = stack["configs"]["app-techsapo.yaml"]
    content = next(f.content for f in desired.files if f.path == "swarm/config/app/techsapo.yaml")
    assert config["name"].endswith(hashlib.sha256(content.encode()).hexdigest()[:16])


def test_a_secret_can_not_be_guessed_from_its_name(desired: Desired, tmp_path: Path) -> None:
    def names(key: bytes) -> frozenset[str]:
        return Deployment(desired, key).object_names()["secrets"]

    assert names(KEY) == names(KEY)
    assert not names(KEY) & names(b"other" * 8)
    plain = {
        hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in (tmp_path / ".techsapo/keys").rglob("*")
        if path.is_file()
    }
    assert plain
    assert not [name for name in names(KEY) if name[-16:] in plain]


def test_only_who_reads_a_changed_file_is_another_one(desired: Desired, tmp_path: Path) -> None:
    before = {s.name: Deployment(desired, KEY).definition(s.name) for s in desired.topology.services}
    changed = replace(
        desired,
        files=tuple(
            replace(f, content=f.content + "# changed\n") if f.path == "swarm/config/app/techsapo.yaml" else f
            for f in desired.files
        ),
    )
    after = {s.name: Deployment(changed, KEY).definition(s.name) for s in desired.topology.services}
    assert {n for n in before if before[n] != after[n]} == {"app-a", "app-b", "app-c"}

    (tmp_path / ".techsapo/keys/mysql-password").write_text("another one")
    key = {s.name: Deployment(desired, KEY).definition(s.name) for s in desired.topology.services}
    assert {n for n in before if before[n] != key[n]} >= {"mysql-a", "app-a"}
    assert key["nginx-a"] == before["nginx-a"]


def test_each_container_says_what_it_was_deployed_with(desired: Desired) -> None:
    deployment = Deployment(desired, KEY)
    stack = json.loads(deployment.stack(["redis-c"]))
    assert list(stack["services"]) == ["redis-c"]
    assert stack["services"]["redis-c"]["labels"][STACK_DEFINITION] == deployment.definition("redis-c")
    used = {each["source"] for each in stack["services"]["redis-c"]["configs"]}
    assert used == set(stack["configs"])


def test_where_the_state_directory_is_makes_no_difference(tmp_path: Path) -> None:
    one, other = desired_of(tmp_path / "one"), desired_of(tmp_path / "other")
    for service in one.topology.services:
        assert Deployment(one, KEY).definition(service.name) == Deployment(other, KEY).definition(
            service.name
        )


def test_a_folder_is_for_the_user_of_the_container_not_for_that_of_the_image(desired: Desired) -> None:
    folders = {folder.volume: folder for folder in Deployment(desired, KEY).folders()}
    assert folders["node-exporter-a-textfile"].uid == 10002, "which reads the metrics of jobs"
    assert folders["redis-a-keys-redis-tls-server"].uid == 999
