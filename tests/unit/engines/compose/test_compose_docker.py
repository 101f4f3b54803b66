"""What is read from the docker client's answers, and what is said to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from stacks import EVERYTHING, spec, templates, topology

from techsapo_ops.adapters.docker import Docker, full_reference, without_progress
from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.apply.plan import desired_state
from techsapo_ops.engines.auto import Image, find_out, registry_of
from techsapo_ops.engines.compose.engine import ComposeEngine, mismatches
from techsapo_ops.engines.compose.recorded import ComposeStack
from techsapo_ops.engines.compose.starter import Starter
from techsapo_ops.engines.containers.access import bind
from techsapo_ops.engines.state import Record
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import ContainerUnit, Desired
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.places import COMPOSE
from techsapo_ops.stack.step import Action, Step
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


def entry(
    service: str = "redis", folder: Path = Path("/srv/x/generated"), project: str = "p", **changes: Any
) -> dict[str, Any]:
    """A container as `docker container inspect` shows it."""
    labels = {
        "com.docker.compose.project": project,
        "com.docker.compose.service": service,
        "com.docker.compose.config-hash": "h",
        "com.docker.compose.project.working_dir": str(folder),
        "com.docker.compose.version": "2.26.1",
    }
    check = {"Test": ["CMD", "redis-cli", "ping"]}
    port = {"6379/tcp": [{"HostIp": "127.0.0.1", "HostPort": "7000"}]}
    found = {
        "Id": "c1", "Name": f"/{project}-{service}-1", "Image": "sha256:1", "RestartCount": 2,
        "Config": {"Labels": labels, "Image": f"{service}:8", "User": "999", "Healthcheck": check},
        "State": {
            "Status": "running", "Pid": 77, "StartedAt": "2026-01-31T01:02:03.123456789Z", "ExitCode": 0,
            "Health": {"Status": "healthy", "Log": [{"Output": "PONG\n"}]},
        },
        "HostConfig": {"PortBindings": port},
    }  # fmt: skip
    return {**found, **changes}


def inspected(*made: dict[str, Any]) -> dict[str, tuple[int, str, str]]:
    """What a client answers of a project that has these containers."""
    return {
        "ps": (0, "c1\n", ""),
        "container inspect": (0, json.dumps(made), ""),
        "image inspect": (0, "", ""),
    }


def test_a_container_is_read_from_inspect() -> None:
    (found,) = Docker(Client(inspected(entry()))).inspect(["c1"])
    assert (found.service, found.state, found.pid, found.restarts) == ("redis", "running", 77, 2)
    assert found.started == datetime(2026, 1, 31, 1, 2, 3, 123456, tzinfo=UTC)
    assert found.check == ("redis-cli", "ping")
    assert (found.health, found.said) == ("healthy", "PONG")
    assert [(p.host, p.port) for p in found.published] == [("127.0.0.1", 7000)]


def test_a_stopped_container_has_an_exit_code_and_no_pid_and_one_that_is_gone_is_left_out() -> None:
    state = {"Status": "exited", "Pid": 0, "StartedAt": "0001-01-01T00:00:00Z", "ExitCode": 137}
    (found,) = Docker(Client(inspected(entry(State=state)))).inspect(["c1"])
    assert (found.pid, found.started, found.exit_code, found.running) == (None, None, 137, False)
    gone = Client({"container inspect": (1, "[]", "Error: No such container: c1")})
    assert Docker(gone).inspect(["c1"]) == ()


@each_row(
    "said, message",
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "no Docker daemon answers"),
        ("permission denied while trying to connect", "not allowed to use the Docker daemon"),
        ("something else", "`docker ps` failed: something else"),
    ],
)
def test_what_the_client_says_becomes_a_sentence(said: str, message: str) -> None:
    with pytest.raises(OpsError, match=message):
        Docker(Client({"ps": (1, "", said)})).containers("p")


def test_image_ids_are_found_by_tag_digest_and_long_name_and_missing_ones_left_out() -> None:
    found = (
        'sha256:1 ["redis:8"] ["redis@sha256:d"]',
        'sha256:2 ["lab/x:latest", "localhost:5000/x:latest"] []',
    )
    client = Client({"image inspect": (1, "\n".join((*found, "", "")), "Error: No such image: nowhere:1")})
    ids = {
        "docker.io/library/redis:8": "sha256:1", "redis@sha256:d": "sha256:1",
        "lab/x": "sha256:2", "localhost:5000/x": "sha256:2",
    }  # fmt: skip
    assert Docker(client).image_ids([*ids, "nowhere:1"]) == ids
    assert full_reference("sha256:abc") == "sha256:abc"


def test_a_secret_for_a_command_inside_a_container_is_not_in_argv() -> None:
    client = Client({"exec": (0, "PONG", "")})
    Docker(client).execute("c1", Command(("redis-cli", "ping"), {"REDISCLI_AUTH": "s3cret"}))
    (asked,) = client.asked
    assert "s3cret" not in " ".join(asked.argv)
    assert asked.env == {"REDISCLI_AUTH": "s3cret"}
    assert asked.argv[:5] == ("docker", "exec", "-i", "--env", "REDISCLI_AUTH")


def test_the_registry_of_an_image() -> None:
    hub = dict.fromkeys(("redis:8", "prom/prometheus:v3", "docker.io/x/y"), "registry-1.docker.io")
    named = {**hub, "ghcr.io/x/y:1": "ghcr.io", "localhost:5000/x": "localhost:5000"}
    assert {image: registry_of(image) for image in named} == named


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
            {"docker": "d"}, "compose", "every image is on this host",
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
    layout = Layout(Path("/srv/x/.techsapo"), Path("/srv/x/.techsapo/generated"))
    answers = {
        **inspected(entry(folder=layout.config / "docker/production")),
        "image inspect": (0, 'sha256:1 ["redis:8"] []\n', ""),
        "compose --project-name": (0, "redis another\n", ""),
        "compose version": (0, f"{version}\n", ""),
    }
    unit = ContainerUnit("redis", "docker/production/docker-compose.prod.yml", "redis:8", "{}")
    topology = Topology(Spec(project="p"), COMPOSE, layout, HostFacts("python"), (), ())
    desired = Desired(topology, (), (unit,))
    stack = ComposeStack(layout, "p", Docker(Client(answers)))
    assert ["settings differ" in m.what for m in mismatches(stack, desired, ["redis"])] == [True] * count


@each_row("state, count", [("running", 1), ("exited", 1), ("created", 0)])
def test_a_container_that_never_ran_is_no_stranger(tmp_path: Path, state: str, count: int) -> None:
    made = entry(folder=tmp_path, State={**entry()["State"], "Status": state})
    topology = Topology(Spec(project="p"), COMPOSE, Layout(tmp_path, tmp_path), HostFacts("python"), (), ())
    engine = ComposeEngine(topology, Docker(Client(inspected(made))))
    assert len(engine.prove(Desired(topology, ()), (), strangers=True)) == count


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
    client = Client(inspected(entry(folder=tmp_path / "generated")))
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


class ToldDocker:
    """A docker client with one container; keeps what would end it, with the options. No reload succeeds."""

    def __init__(self, folder: Path, service: str) -> None:
        self.entry = entry(service, folder, "techsapo")
        self.told: list[tuple[str, ...]] = []

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        words = command.argv[1:]
        said = ""
        match words:
            case ("ps", *_):
                said = "c1\n"
            case ("container", "inspect", *_):
                said = json.dumps([self.entry])
            case ("restart" | "stop" | "rm", *_):
                self.told.append(words)
            case ("exec", *_):
                return Completed(command, 1, b"", b"host not found in upstream")
            case ("compose", *_):
                self.told.append(words[words.index("up") :])
            case _:
                raise AssertionError(words)
        return Completed(command, 0, said.encode(), b"")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeEngine]:
    folder = tmp_path_factory.mktemp("stack")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ComposeEngine, "_gate", lambda *_: None)
        patched.setattr(ComposeEngine, "_settle", lambda *_: None)
        patched.setattr(Starter, "_free_ports", lambda *_: None)
        yield ComposeEngine(topology(spec(**EVERYTHING), folder, "compose"), Docker(ToldDocker(folder, "")))


@pytest.fixture(scope="module")
def desired(engine: ComposeEngine) -> Desired:
    return desired_state(engine.topology, templates())


def told(
    engine: ComposeEngine, action: Action, service: str, desired: Desired | None
) -> list[tuple[str, ...]]:
    """What is done to the container; `desired` is None where somebody asked for it."""
    docker = ToldDocker(engine.layout.config / "docker", service)
    engine.docker = Docker(docker)
    engine.perform(Step(action, service, "why"), desired, lambda _: None)
    return docker.told


def test_nginx_has_two_seconds_where_it_starts_again_or_is_made_anew(
    engine: ComposeEngine, desired: Desired
) -> None:
    for asked in (desired, None):
        assert told(engine, Action.RESTART, "nginx", asked) == [("restart", "-t", "2", "c1")]
    [words] = told(engine, Action.RECREATE, "nginx", desired)
    assert words[-3:] == ("-t", "2", "nginx")
    assert "--force-recreate" in words


def test_what_stores_data_and_what_goes_for_good_have_all_of_their_time(
    engine: ComposeEngine, desired: Desired
) -> None:
    for action in (Action.RESTART, Action.RECREATE):
        [words] = told(engine, action, "redis", desired)
        assert "-t" not in words
    stopped, _ = told(engine, Action.REMOVE, "nginx", desired)
    assert stopped == ("stop", "c1")


def test_a_refused_reload_leaves_the_note_of_what_runs_as_it_was(tmp_path: Path) -> None:
    model = spec(**EVERYTHING)
    where = topology(model, tmp_path, "compose")
    engine = ComposeEngine(where, Docker(ToldDocker(where.layout.config / "docker", "nginx")))
    old = Record("nginx", "nginx", "127.0.0.1", 8080, "101", ("app-1",), 10, "before", "then", container="c1")
    engine.state.put(old)
    step = Step(Action.RELOAD, "nginx", "nginx.conf changed")
    with pytest.raises(OpsError, match="nginx refuses its configuration: host not found"):
        engine.perform(step, desired_state(where, templates()), lambda _: None)
    assert engine.state.load()["nginx"] == old, "going back must not make it anew"
