"""The app: `techsapo serve`, one or more instances."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg
from techsapo_ops.stack.kind import Kind, Wanted
from techsapo_ops.stack.service import HERE, Machine, Probe, ServiceFacts

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Bind, Build, Container, Package
    from techsapo_ops.stack.desired import Program, RenderedFile
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.secrets import StoredSecret
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


JOB = "techsapo-app"
APP_KEY = "app-key"
"""The secret under whose name its container gets the key that all its instances share."""
IMAGE = "techsapo/app"
DOCKERFILE = "docker/app/Dockerfile"
BASE_IMAGE = "python:3.13-slim"


class App(Kind):
    """The orchestrator API."""

    facts = ServiceFacts(
        kind="app",
        title="TechSapo",
        image="techsapo/app:local",
        port=4000,
        user="techsapo",
        uid=10001,
        data=True,
        probe=Probe("http", "/ping"),
        needs=("redis", "mysql"),
        metrics_path="/metrics",
        published=True,
        runs_package=True,
    )
    networks = ("edge", "data", "metrics")
    reads = ("app/",)
    asks_others = True
    unread = ("pages",)  # read anew by each page that is looked at
    secrets = (
        "providers", "redis.password", "mysql.password", "app.auth.sign_in.secret", "app.tracing.headers",
        "investigate",
    )  # fmt: skip
    port_setting = "app.port"
    vital = True
    starts_first = True
    turns_away = True

    @property
    def job(self) -> str:
        """The guide's name for it."""
        return JOB

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:  # noqa: ARG002 - Kind's signature
        """`app`, or `app-1`, `app-2`, … where there are several."""
        instances = spec.app.resolved_instances
        for n, instance in enumerate(instances, 1):
            name = f"{self.name}-{n}" if len(instances) > 1 else self.name
            yield Wanted(name, spec.app.host, instance.port, instance.weight, instance.backup)

    def setting_of(self, service: Service) -> str:
        """Each of several instances has its port in the list."""
        return self.port_setting if service.name == self.name else "app.instances"

    def data_names(self, topology: Topology) -> tuple[str, ...]:
        """The audit log, where it is a file."""
        return ("audit.sqlite",) if self.has_audit_log(topology) else ()

    def has_audit_log(self, topology: Topology) -> bool:
        """Of its own, where there is no database for all instances."""
        return not topology.has("mysql")

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:  # noqa: ARG002 - no template
        """Its part of the spec, and what its pages draw."""
        from techsapo_ops.services.app.rendered_spec import app_spec_files, page_file

        return (*app_spec_files(topology), page_file(topology))

    def notes(self, topology: Topology) -> Iterable[str]:
        """Whether its answers mean anything."""
        providers = [p for p in topology.spec.providers.values() if p.enabled]
        if providers and all(p.kind == "simulated" for p in providers):
            yield msg(
                "answers are simulated ({count} providers); add real providers under `providers:` in the "
                "spec",
                count=len(providers),
            )

        from techsapo_ops.spec.watched import is_of_this_host

        if topology.places.isolated and is_of_this_host(topology.spec):
            yield msg(
                "traces are lost: 127.0.0.1 in app.tracing.endpoint is the app's own container; use an "
                "address of the host that containers can reach"
            )

    def stored_secrets(self, topology: Topology) -> Iterable[StoredSecret]:
        """Its own key, by which nobody logs in."""
        from techsapo_ops.stack.secrets import StoredSecret

        yield StoredSecret(
            APP_KEY,
            msg("nothing: this key seals stored answers, and makes the digests of prompts"),
            ("app",),
            file=topology.layout.app_key,
        )

    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        """Its own key, and the passwords that were made at the first start of what it asks."""
        from techsapo_ops.services.alertmanager import investigating, signing
        from techsapo_ops.services.monitor import given
        from techsapo_ops.services.mysql.kind import APP_PASSWORD
        from techsapo_ops.services.redis.accounts import APP, APP_SECRET, accounts_made, password_file

        layout = topology.layout
        made = {APP_KEY: layout.app_key, **given(topology, self.name), **signing.given(topology, self.name)}
        made.update(investigating.given(topology, self.name))
        if topology.spec.mysql is not None and topology.spec.mysql.password is None:
            made[APP_PASSWORD] = layout.mysql_password
        if accounts_made(topology):
            made[APP_SECRET] = password_file(layout, APP)
        return made

    def program(self, topology: Topology, service: Service) -> Program:
        """`techsapo serve` with the Python that runs the tool."""
        from techsapo_ops.services.mysql.kind import APP_PASSWORD
        from techsapo_ops.stack.desired import Program

        # Where Redis and MariaDB are, it reads in its part of the spec.
        argv = (
            topology.host.python,
            "-m",
            "techsapo_ops",
            *_arguments(topology, service, ("prometheus", "alertmanager")),
        )
        return Program(
            service.name,
            argv,
            topology.data_dir(service),
            environment={"PYTHONUNBUFFERED": "1"},
            user=service.user,
            stop_seconds=_stop_seconds(topology),
            config=(
                *self.reads,
                "secrets/providers-",
                "secrets/redis-password",
                "secrets/app-auth-",
                "secrets/app-tracing-",
                "secrets/investigate-",
                f"secrets/{APP_PASSWORD}",
            ),
        )

    def container(self, topology: Topology, service: Service) -> Container:
        """The same in an image with this package."""
        from techsapo_ops.stack.container import Container

        port = service.facts.port
        return Container(
            command=_arguments(
                topology, service, ("redis", "sentinel", "mysql", "prometheus", "alertmanager")
            ),
            port=port,
            healthcheck=("python", "-I", "-S", "-c", _probe(port)),
            config=("app", "pages"),
            binds=tuple(_own_binds(topology)),
            volume=service.facts.container_data,
            memory_mb=512,
            pids=256,
            stop_seconds=_stop_seconds(topology),
            # The kernel keeps SIGTERM from a first process that does not handle it yet, as Python does while
            # importing: a stop within the first second would last until all of `stop_seconds` are over.
            extra={"init": True},
        )

    def build(self, topology: Topology, templates: Templates, package: Package) -> Build:
        """An image with this package as it is installed."""
        return app_build(topology, templates, package)

    def built_from(self, spec: Spec) -> tuple[str, ...]:
        """A Python."""
        return (base_image(spec),)


def base_image(spec: Spec) -> str:
    """What the app's image is built from."""
    return spec.images.get("base", BASE_IMAGE)


def app_build(topology: Topology, templates: Templates, package: Package) -> Build:
    """How the app's image is built: this package and its locked dependencies."""
    from techsapo_ops.stack.container import Build

    app, base = topology.of_kind("app")[0].facts, base_image(topology.spec)
    text = templates.render(
        "docker/app.Dockerfile.j2",
        base=base,
        uid=app.uid,
        data=app.container_data,
        lock=package.lock,
        # Both are part of the package's content, by which it is known that a container runs the same code.
        otel_lock=package.otel_lock,
        installed=f".ci/requirements{'' if topology.spec.app.tracing is None else '-otel'}.lock",
        build=package.build,
        templates=package.templates,
    )
    return Build(DOCKERFILE, text, f"{IMAGE}:{package.tag(base, text)}", package.source)


def _probe(port: int) -> str:
    """Without urllib, whose import takes a tenth of a second: it may run every two seconds."""
    asked = "GET /ping HTTP/1.0\\r\\n\\r\\n"
    return (
        f"import socket, sys; s = socket.create_connection(('127.0.0.1', {port}), 5); "
        f"s.sendall(b'{asked}'); sys.exit(b' 200 ' not in s.recv(64))"
    )


def _stop_seconds(topology: Topology) -> int:
    from techsapo_ops.spec.models.base import seconds

    app = topology.spec.app
    return math.ceil(seconds(app.drain) + seconds(app.limits.request_timeout)) + 5


def _arguments(topology: Topology, service: Service, kinds: tuple[str, ...]) -> tuple[str, ...]:
    from techsapo_ops.services.alertmanager import investigating
    from techsapo_ops.services.alertmanager.signing import key_options
    from techsapo_ops.services.app.rendered_spec import PAGE_FACTS
    from techsapo_ops.services.monitor import password_options

    listens = topology.listens(service)
    return (
        "serve", "--rendered", "--file", str(topology.config_dir() / "app" / "techsapo.yaml"),
        "--instance", service.name, "--host", listens.host, "--port", str(listens.port),
        "--data", str(topology.data_dir(service)),
        "--app-key", str(topology.places.seen(topology.layout.app_key, topology.secret_path(APP_KEY))),
        "--page-facts", str(topology.config_dir() / PAGE_FACTS),
        *key_options(topology), *investigating.key_options(topology),
        *address_options(topology, kinds, service.machine),
        *_redis_ca_option(topology),
        *password_options(topology, service.kind), *_knowledge_option(topology),
    )  # fmt: skip


def _knowledge_option(topology: Topology) -> tuple[str, ...]:
    """Where the app finds the index of the team's own knowledge."""
    from techsapo_ops.services.app.rendered_spec import CONTAINER_KNOWLEDGE

    here = topology.layout.knowledge
    there = topology.places.seen(here, f"{CONTAINER_KNOWLEDGE}/{here.name}")
    return ("--knowledge", str(there)) if topology.spec.knowledge else ()


def address_options(topology: Topology, kinds: tuple[str, ...], near: Machine = HERE) -> tuple[str, ...]:
    """`--KIND HOST:PORT` for each of `kinds` that the stack has, as another of its services sees it.

    On several machines all of a kind, between commas, that of the machine `near` first.
    """
    from techsapo_ops.stack.address import Viewpoint

    words: list[str] = []
    for kind in kinds:
        others = sorted(topology.of_kind(kind), key=lambda other: other.machine != near)
        if others:
            addresses = (str(topology.address(other, Viewpoint.SERVICE)) for other in others)
            words += [f"--{kind}", ",".join(addresses)]
    return tuple(words)


def _redis_ca_option(topology: Topology) -> tuple[str, ...]:
    """Where the app finds the CA certificate of a Redis that speaks TLS."""
    from techsapo_ops.stack.own_tls import ca_seen

    speaks = topology.spec.redis.tls and topology.has("redis")
    return ("--redis-ca", str(ca_seen(topology, "redis"))) if speaks else ()


def _own_binds(topology: Topology) -> Iterable[Bind]:
    from techsapo_ops.services.app.rendered_spec import (
        CONTAINER_KEYS_FOLDER,
        CONTAINER_KNOWLEDGE,
        keys_file,
    )
    from techsapo_ops.spec.front_door import resolved_auth
    from techsapo_ops.stack.container import Bind
    from techsapo_ops.stack.layout import BUDGET_FOLDER, EVIDENCE_FOLDER
    from techsapo_ops.stack.maintenance import seen_by

    spec, layout = topology.spec, topology.layout
    yield from seen_by(topology, App.facts.kind)
    yield from seen_by(topology, App.facts.kind, BUDGET_FOLDER)
    if spec.investigate is not None:
        yield from seen_by(topology, App.facts.kind, EVIDENCE_FOLDER)
    if resolved_auth(spec, layout.environment).required:
        # `techsapo keys` writes here, perhaps only later.
        yield Bind(keys_file(spec, layout).parent, CONTAINER_KEYS_FOLDER, create=True)
    if spec.knowledge:
        yield Bind(layout.knowledge.parent, CONTAINER_KNOWLEDGE, create=True)
