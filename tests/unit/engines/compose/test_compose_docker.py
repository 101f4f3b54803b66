"""What is read from the docker client's answers, and what is said to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters.docker import Docker, full_reference, without_progress
from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.auto import Image, find_out, registry_of
from techsapo_ops.engines.compose.engine import ComposeEngine
from techsapo_ops.engines.compose.proof import mismatches
from techsapo_ops.engines.compose.recorded import ComposeStack
from techsapo_ops.engines.containers.engine import discard
from techsapo_ops.engines.containers.scratch import bind
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import ContainerUnit, Desired
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.places import COMPOSE
from techsapo_ops.stack.topology import Topology


class Client:
    """A docker client with set answers by the first words of the call; it keeps what it was asked."""

    def __init__(self, answers: Mapping[str, tuple[int, str, str]]) -> None:
        self.answers = answers
        self.asked: list[Command] = []

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        self.asked.append(command)
        line = " ".join(command.argv[1:])
        for start, (code, out, err) in self.answers.items():
            if line.startswith(start):
                return Completed(command, code, out.encode(), err.encode())
        raise AssertionError(line)


def entry(**changes: Any) -> dict[str, Any]:
    """A container as `docker container inspect` shows it."""
    labels = {
        "com.docker.compose.project": "p",
        "com.docker.compose.service": "redis",
        "com.docker.compose.config-hash": "h",
        "com.docker.compose.project.working_dir": "/srv/x/.techsapo/generated/docker/production",
    }
    found = {
        "Id": "c1",
        "Name": "/p-redis-1",
        "Image": "sha256:1",
        "RestartCount": 2,
        "Config": {
            "Labels": labels,
            "Image": "redis:8",
            "User": "999",
            "Healthcheck": {"Test": ["CMD", "redis-cli", "ping"]},
        },
        "State": {
            "Status": "running",
            "Pid": 77,
            "StartedAt": "2026-01-31T01:02:03.123456789Z",
            "ExitCode": 0,
            "Health": {"Status": "healthy", "Log": [{"Output": "PONG\n"}]},
        },
        "HostConfig": {"PortBindings": {"6379/tcp": [{"HostIp": "127.0.0.1", "HostPort": "7000"}]}},
    }
    return {**found, **changes}


def test_a_container_is_read_from_inspect() -> None:
    client = Client({"container inspect": (0, json.dumps([entry()]), "")})
    (found,) = Docker(client).inspect(["c1"])
    assert (found.service, found.state, found.pid, found.restarts) == ("redis", "running", 77, 2)
    assert found.started == datetime(2026, 1, 31, 1, 2, 3, 123456, tzinfo=UTC)
    assert found.check == ("redis-cli", "ping")
    assert (found.health, found.said) == ("healthy", "PONG")
    assert [(p.host, p.port) for p in found.published] == [("127.0.0.1", 7000)]


def test_a_stopped_container_has_an_exit_code_and_no_pid() -> None:
    state = {"Status": "exited", "Pid": 0, "StartedAt": "0001-01-01T00:00:00Z", "ExitCode": 137}
    client = Client({"container inspect": (0, json.dumps([entry(State=state)]), "")})
    (found,) = Docker(client).inspect(["c1"])
    assert (found.pid, found.started, found.exit_code, found.running) == (None, None, 137, False)


def test_a_container_that_is_gone_meanwhile_is_left_out() -> None:
    client = Client({"container inspect": (1, "[]", "Error: No such container: c1")})
    assert Docker(client).inspect(["c1"]) == ()


@each_row(
    "said, message",
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "no Docker daemon answers"),
        ("permission denied while trying to connect", "may not talk to the Docker daemon"),
        ("something else", "`docker ps` failed: something else"),
    ],
)
def test_what_the_client_says_becomes_a_sentence(said: str, message: str) -> None:
    with pytest.raises(OpsError, match=message):
        Docker(Client({"ps": (1, "", said)})).containers("p")


def test_image_ids_are_found_by_tag_digest_and_long_name_and_missing_ones_left_out() -> None:
    out = 'sha256:1 ["redis:8"] ["redis@sha256:d"]\nsha256:2 ["lab/x:latest"] []\n\n'
    client = Client({"image inspect": (1, out, "Error: No such image: nowhere:1")})
    wanted = ["docker.io/library/redis:8", "redis@sha256:d", "lab/x", "nowhere:1"]
    assert Docker(client).image_ids(wanted) == {
        "docker.io/library/redis:8": "sha256:1",
        "redis@sha256:d": "sha256:1",
        "lab/x": "sha256:2",
    }


def test_a_secret_for_a_command_inside_a_container_is_not_in_argv() -> None:
    client = Client({"exec": (0, "PONG", "")})
    Docker(client).execute("c1", Command(("redis-cli", "ping"), {"REDISCLI_AUTH": "s3cret"}))
    (asked,) = client.asked
    assert "s3cret" not in " ".join(asked.argv)
    assert asked.env == {"REDISCLI_AUTH": "s3cret"}
    assert asked.argv[:5] == ("docker", "exec", "-i", "--env", "REDISCLI_AUTH")


@each_row(
    "reference, full",
    [
        ("redis", "redis:latest"),
        ("docker.io/library/redis:8", "redis:8"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("sha256:abc", "sha256:abc"),
    ],
)
def test_references_are_compared_in_the_daemons_form(reference: str, full: str) -> None:
    assert full_reference(reference) == full


@each_row(
    "reference, registry",
    [
        ("redis:8", "registry-1.docker.io"),
        ("prom/prometheus:v3", "registry-1.docker.io"),
        ("docker.io/x/y", "registry-1.docker.io"),
        ("ghcr.io/x/y:1", "ghcr.io"),
        ("localhost:5000/x", "localhost:5000"),
    ],
)
def test_the_registry_of_an_image(reference: str, registry: str) -> None:
    assert registry_of(reference) == registry


PRESENT = 'sha256:1 ["a:1"] []\n'


@each_row(
    "answers, binaries, engine, reason",
    [
        ({}, {}, "native", "no docker on PATH"),
        ({"version": (1, "", "Cannot connect")}, {"docker": "d"}, "native", "no Docker daemon answers"),
        ({"version": (0, "24.0.7", "")}, {"docker": "d"}, "native", "is 24.0.7, and 25 or newer is needed"),
        (
            {"version": (0, "26", ""), "compose version": (1, "", "unknown")},
            {"docker": "d"}, "native", "no compose plugin",
        ),
        (
            {"version": (0, "26", ""), "compose version": (0, "2", ""), "image inspect": (0, PRESENT, "")},
            {"docker": "d"}, "compose", "every image is here",
        ),
    ],
)  # fmt: skip
def test_auto_says_which_engine_and_why(
    answers: Mapping[str, tuple[int, str, str]], binaries: Mapping[str, str], engine: str, reason: str
) -> None:
    choice = find_out([Image("a:1"), Image("built:1", bases=("a:1",))], binaries, Client(answers))
    assert choice.engine == engine
    assert reason in choice.reason
    assert choice.decided


def test_of_what_docker_compose_says_the_reason_is_left() -> None:
    progress = " Container p-redis-1  Running\n Container p-app-1  Error"
    reason = "dependency failed to start: container p-app-1 is unhealthy"
    assert without_progress(f"{progress}\n{reason}") == reason
    assert without_progress(progress) == progress


@each_row("version, count", [("v2.26.1-4", 1), ("2.40.0", 0)])
def test_a_digest_of_another_docker_compose_is_no_proof_of_other_settings(version: str, count: int) -> None:
    made = entry()
    made["Config"]["Labels"]["com.docker.compose.version"] = "2.26.1"
    answers = {
        "ps ": (0, "c1\n", ""),
        "container inspect": (0, json.dumps([made]), ""),
        "image inspect": (0, 'sha256:1 ["redis:8"] []\n', ""),
        "compose --project-name": (0, "redis another\n", ""),
        "compose version": (0, f"{version}\n", ""),
    }
    layout = Layout(Path("/srv/x/.techsapo"), Path("/srv/x/.techsapo/generated"))
    unit = ContainerUnit("redis", "docker/production/docker-compose.prod.yml", "redis:8", "{}")
    topology = Topology(Spec(project="p"), COMPOSE, layout, HostFacts("python"), (), ())
    desired = Desired(topology, (), (unit,))
    stack = ComposeStack(layout, "p", Docker(Client(answers)))
    assert ["other settings" in m.what for m in mismatches(stack, desired, ["redis"])] == [True] * count


@each_row("state, count", [("running", 1), ("exited", 1), ("created", 0)])
def test_a_container_that_never_ran_is_no_stranger(tmp_path: Path, state: str, count: int) -> None:
    made = entry(State={**entry()["State"], "Status": state})
    made["Config"]["Labels"]["com.docker.compose.project.working_dir"] = str(tmp_path)
    answers = {"ps ": (0, "c1\n", ""), "container inspect": (0, json.dumps([made]), "")}
    topology = Topology(Spec(project="p"), COMPOSE, Layout(tmp_path, tmp_path), HostFacts("python"), (), ())
    engine = ComposeEngine(topology, Docker(Client({**answers, "image inspect": (0, "", "")})))
    assert len(engine.prove(Desired(topology, ()), (), strangers=True)) == count


def test_images_of_the_app_that_the_ledger_forgot_are_removed_and_no_others() -> None:
    listed = "techsapo/app:aaa sha256:1\ntechsapo/app:bbb sha256:2\ntechsapo/app:<none> sha256:3\n"
    client = Client({"image ls": (0, listed, ""), "image rm": (1, "", "image is being used")})
    discard(Docker(client), {"sha256:1", "sha256:3", "sha256:9"})
    assert client.asked[-1].argv[1:] == ("image", "rm", "techsapo/app:aaa")
    discard(Docker(client), {"sha256:9"})
    assert client.asked[-1].argv[1:3] == ("image", "ls")


def test_what_goes_through_a_container_beside_is_not_written_to_a_log_and_it_is_none_of_the_stack() -> None:
    tar = Command(("tar", "-cf", "-", "."))
    argv = Docker(Client({})).beside(("--volumes-from", "c1"), "sha256:1", "65534", "/prometheus", tar).argv
    assert argv[argv.index("--log-driver") + 1] == "none"
    assert argv[argv.index("--label") + 1] == "com.docker.compose.project="
    assert argv[-4:] == ("sha256:1", "-cf", "-", ".")


@each_row(
    "folder, value",
    [
        ("/srv/資料 x", "type=bind,source=/srv/資料 x,target=/scratch"),
        ("/srv/a,b", 'type=bind,"source=/srv/a,b",target=/scratch'),
        ('/srv/a"b', 'type=bind,"source=/srv/a""b",target=/scratch'),
    ],
)
def test_a_folder_of_any_name_is_mounted(folder: str, value: str) -> None:
    assert bind(Path(folder), "/scratch") == ("--mount", value)


def test_containers_are_looked_at_anew_after_a_change_and_not_for_each_question(tmp_path: Path) -> None:
    own = entry()
    own["Config"]["Labels"]["com.docker.compose.project.working_dir"] = str(tmp_path / "generated")
    answers = {"ps": (0, "c1\n", ""), "container inspect": (0, json.dumps([own]), "")}
    client = Client({**answers, "image inspect": (0, "", "")})
    stack = ComposeStack(Layout(tmp_path, tmp_path / "generated"), "p", Docker(client))

    def looks() -> int:
        return sum(command.argv[1] == "ps" for command in client.asked)

    assert set(stack.glance().containers) == set(stack.glance().containers) == {"redis"}
    assert looks() == 1
    stack.forget()
    stack.glance()
    assert looks() == 2
    with pytest.MonkeyPatch.context() as patched:  # another thread starts something meanwhile
        containers = stack.containers
        patched.setattr(stack, "containers", lambda: (stack.forget(), containers())[1])
        stack.forget()
        stack.glance()
    stack.glance()
    assert looks() == 4
