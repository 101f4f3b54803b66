"""What is really deployed: configs and secrets named by their content, folders, labels, the network."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from stacks import rendered, spec, topology, with_alerts

from techsapo_ops.adapters.container_facts import STACK_DEFINITION
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.engines.swarm.deployment import Deployment, prune
from techsapo_ops.engines.swarm.folders import Folder, _packed
from techsapo_ops.engines.swarm.nodes import label, require_network
from techsapo_ops.errors import OpsError
from techsapo_ops.render.swarm import swarm_units
from techsapo_ops.spec.models.machines import Swarm
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.service import Machine
from techsapo_ops.stack.stack_file import STACK_YML
from tests.fakes.swarm_nodes import nodes_answer

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
    spec_file = "swarm/config/app/techsapo.yaml"
    files = [replace(f, content=f"{f.content}#") if f.path == spec_file else f for f in desired.files]
    changed = replace(desired, files=tuple(files))
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
        here, there = (Deployment(each, KEY).definition(service.name) for each in (one, other))
        assert here == there


def test_a_folder_is_for_the_user_of_the_container_not_for_that_of_the_image(desired: Desired) -> None:
    folders = {folder.volume: folder for folder in Deployment(desired, KEY).folders()}
    assert folders["node-exporter-a-textfile"].uid == 10002, "which reads the metrics of jobs"
    assert folders["redis-a-keys-redis-tls-server"].uid == 999


def test_a_key_is_its_services_alone_and_a_certificate_may_be_read_by_who_asks_as_root(
    tmp_path: Path,
) -> None:
    for name, mode in (("key.pem", 0o600), ("ca.pem", 0o644)):
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(mode)
    packed, names = _packed([Folder("redis-a", "redis-a-tls", tmp_path, 999)])
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        found = {entry.name: (entry.mode, entry.uid) for entry in tar}
    assert names == ("redis-a-tls",)
    assert found == {
        "redis-a-tls": (0o555, 999),
        "redis-a-tls/ca.pem": (0o444, 999),
        "redis-a-tls/key.pem": (0o400, 999),
    }


class Objects:
    """A Runner whose docker lists and removes configs and secrets; `used` are those that a service has."""

    def __init__(self, configs: set[str], secrets: set[str], used: set[str]) -> None:
        self.there = {"config": configs, "secret": secrets}
        self.used = used
        self.away = False

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        words = command.argv[3:]
        if self.away:
            return Completed(command, 1, b"", b"The swarm does not have a leader.")
        if words[0] == "node":
            return Completed(command, 0, b"id1", b"")
        kind, action = words[:2]
        if action == "ls":
            assert words[2:4] == ("--filter", "label=com.docker.stack.namespace=shop")
            return Completed(command, 0, "\n".join(self.there[kind]).encode(), b"")
        assert action == "rm"
        if words[2] in self.used:
            return Completed(command, 1, b"", b"rpc error: code = InvalidArgument desc = is in use")
        self.there[kind].remove(words[2])
        return Completed(command, 0, b"", b"")


def named(*configs: str) -> dict[str, frozenset[str]]:
    return {"configs": frozenset(configs), "secrets": frozenset({"key_1"})}


def test_the_last_two_generations_stay(tmp_path: Path) -> None:
    manager = Objects({"site_1", "site_2", "site_3"}, {"key_0", "key_1"}, set())
    fleet = Fleet(manager, "docker", {"a": "unix:///a"})

    prune(fleet, tmp_path, "shop", named("site_1"))
    assert manager.there["config"] == {"site_1"}, "nothing is known of an apply before it"
    manager.there["config"] = {"site_1", "site_2"}
    assert prune(fleet, tmp_path, "shop", named("site_2")) == ()
    manager.there["config"] |= {"site_3"}
    assert prune(fleet, tmp_path, "shop", named("site_3")) == ("site_1",)
    assert prune(fleet, tmp_path, "shop", named("site_3")) == (), "an apply of nothing is no generation"
    assert manager.there == {"config": {"site_2", "site_3"}, "secret": {"key_1"}}


def test_what_a_service_has_stays_whatever_is_noted_and_without_a_manager_everything(tmp_path: Path) -> None:
    manager = Objects({"site_1", "site_9"}, set(), {"site_9"})
    fleet = Fleet(manager, "docker", {"a": "unix:///a"})
    assert prune(fleet, tmp_path, "shop", named("site_1")) == ()
    assert "site_9" in manager.there["config"]
    manager.away = True
    with pytest.raises(OpsError, match="a can't be reached"):
        prune(Fleet(manager, "docker", {"a": "unix:///a"}), tmp_path, "shop", named("site_2"))


class Network:
    """A Runner whose docker has the network of the project shop, or none."""

    def __init__(self, *, used: bool = False, encrypted: bool = False, there: bool = True) -> None:
        self.there, self.used, self.refuses = there, used, b""
        options = {"com.docker.network.driver.overlay.vxlanid_list": "4097"}
        self.options = {**options, **({"encrypted": ""} if encrypted else {})}

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        words = command.argv[3:]
        if words[0] == "node":
            return Completed(command, 0, b"id1", b"")
        assert words[0] == "network"
        if words[1] == "ls":
            assert words[-1] == "name=^shop_net$", "a part of a name would do for Docker"
            return Completed(command, 0, b"net1" if self.there else b"", b"")
        if words[1] == "inspect":
            assert words[2:] == ("shop_net",), words
            if self.refuses or not self.there:
                return Completed(command, 1, b"[]", self.refuses or b"network shop_net not found")
            found = {"Id": "net1", "IPAM": {"Config": [{"Subnet": "10.99.0.0/20"}]}, "Options": self.options}
            return Completed(command, 0, json.dumps([found]).encode(), b"")
        assert words[1:] == ("rm", "net1")
        if self.used:
            return Completed(command, 1, b"", b"network net1 is in use by service s1")
        self.there = False
        return Completed(command, 0, b"net1", b"")


def required(manager: Network, **wanted: object) -> None:
    require_network(Fleet(manager, "docker", {"a": "unix:///a"}), "shop", Swarm.model_validate(wanted))


@each_row(
    "manager, wanted, says",
    [
        (Network(used=True), {"subnet": "10.98.0.0/20"}, "10.99.0.0/20, but swarm.subnet is 10.98.0.0/20"),
        (
            Network(used=True),
            {"encrypted": True},
            "the network is not encrypted, but swarm.encrypted is true",
        ),
        (Network(used=True, encrypted=True), {}, "the network is encrypted, but swarm.encrypted is false"),
    ],
)
def test_a_network_that_is_used_is_not_changed_and_nothing_is_said_to_be(
    manager: Network, wanted: dict[str, object], says: str
) -> None:
    with pytest.raises(OpsError, match=r"techsapo_net|shop_net") as caught:
        required(manager, **wanted)
    assert says in str(caught.value)
    assert manager.there


def test_a_network_as_wanted_stays_and_another_that_nothing_uses_goes_so_that_a_deployment_makes_it() -> None:
    for encrypted in (False, True):
        manager = Network(encrypted=encrypted)
        required(manager, encrypted=encrypted)
        assert manager.there
    manager.refuses = b"Error response from daemon: This node is not a swarm manager."
    with pytest.raises(OpsError, match="not a swarm manager"):
        required(manager, encrypted=False)
    manager.refuses = b""
    required(manager, encrypted=True, subnet="10.98.0.0/20")
    assert not manager.there


STACK = "com.docker.stack.namespace"


class Nodes:
    """A Runner: a manager that knows nodes with labels, and services by stack and label. Nothing else."""

    def __init__(self, labels: dict[str, str], *services: tuple[str, str]) -> None:
        self.labels = labels
        self._services = [
            ({STACK: of} if of else {}, {"Constraints": [f"node.labels.techsapo == {on}"]} if on else None)
            for of, on in services
        ]

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        """As a Runner."""
        del timeout
        return Completed(command, 0, "\n".join(self._said(command.argv[3:])).encode(), b"")

    def _said(self, words: tuple[str, ...]) -> list[str]:
        match words[:2]:
            case ("node", "ls"):
                return [f"node-{name}" for name in self.labels]
            case ("system", "dial-stdio"):
                return [nodes_answer(self.labels)]
            case ("node", "update"):
                name = words[-1].removeprefix("node-")
                self.labels[name] = words[3].partition("=")[2] if words[2] == "--label-add" else ""
                return []
            case ("service", "ls"):
                return [str(number) for number in range(len(self._services))]
            case ("service", "inspect"):
                return [f"{json.dumps(labels)} {json.dumps(place)}" for labels, place in self._services]
        raise AssertionError(words)


def labelled(swarm: Nodes, machines: str) -> dict[str, str]:
    """The labels once the stack `shop` is to stand on `machines`."""
    fleet = Fleet(swarm, "docker", {"a": "ssh://a"})
    wanted = [Machine(name, f"10.0.0.{number}", f"ssh://{name}") for number, name in enumerate(machines, 1)]
    label(fleet, "shop", wanted)
    return {name: found for name, found in swarm.labels.items() if found}


def test_each_machine_is_labelled_and_one_that_was_left_is_not() -> None:
    swarm = Nodes(
        {"a": "a", "b": "", "c": "", "d": "d"}, ("shop", "a"), ("shop", "d"), ("", ""), ("other", "")
    )
    assert labelled(swarm, "abc") == {"a": "a", "b": "b", "c": "c"}


def test_the_machines_of_another_stack_keep_what_its_services_are_there_by() -> None:
    swarm = Nodes(
        {"a": "a", "b": "b", "c": "c", "d": "", "e": "e"}, ("other", "a"), ("other", "b"), ("shop", "e")
    )
    assert labelled(swarm, "bcd") == {"a": "a", "b": "b", "c": "c", "d": "d"}
