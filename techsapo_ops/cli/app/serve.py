"""`techsapo serve`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.cli.app.store_options import StoreOptions
from techsapo_ops.cli.options import SpecPlace, say_remembered
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.user_path import user_path

if TYPE_CHECKING:
    from techsapo_ops.adapters.http import BasicLogin
    from techsapo_ops.cli.project import Project
    from techsapo_ops.serve.options import PageFacts
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.spec.models.app import Auth
    from techsapo_ops.spec.models.monitoring import Alertmanager as AlertmanagerSpec
    from techsapo_ops.spec.models.monitoring import Prometheus as PrometheusSpec


def serve(
    *,
    place: SpecPlace,
    instance: Annotated[str, typer.Option("--instance", help="Name of this instance, e.g. app-1.")] = "app",
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on.", show_default="app.host")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=1, max=65535, help="Port to listen on.", show_default="the instance's port"
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Folder for this instance's data.", show_default=".techsapo/data/INSTANCE"
        ),
    ] = None,
    rendered: Annotated[
        bool,
        typer.Option("--rendered", hidden=True, help="The file is a generated app/techsapo.yaml."),
    ] = False,
    stores: StoreOptions,
    prometheus: Annotated[
        str | None,
        typer.Option("--prometheus", hidden=True, help="HOST:PORT of Prometheus, as this process sees it."),
    ] = None,
    prometheus_password: Annotated[
        Path | None,
        typer.Option("--prometheus-password", hidden=True, help="File of Prometheus's password."),
    ] = None,
    alertmanager: Annotated[
        str | None,
        typer.Option(
            "--alertmanager", hidden=True, help="HOST:PORT of Alertmanager, as this process sees it."
        ),
    ] = None,
    alertmanager_password: Annotated[
        Path | None,
        typer.Option("--alertmanager-password", hidden=True, help="File of Alertmanager's password."),
    ] = None,
    acknowledge_key: Annotated[
        Path | None, typer.Option("--acknowledge-key", hidden=True, help="The key of links to acknowledge.")
    ] = None,
    alerts_key: Annotated[
        Path | None, typer.Option("--alerts-key", hidden=True, help="The key by which alerts are told.")
    ] = None,
    app_key: Annotated[
        Path | None, typer.Option("--app-key", hidden=True, help="The key that all instances share.")
    ] = None,
    page_facts: Annotated[
        Path | None, typer.Option("--page-facts", hidden=True, help="A generated pages/stack.json.")
    ] = None,
    knowledge: Annotated[
        Path | None, typer.Option("--knowledge", hidden=True, help="The index of the team's own files.")
    ] = None,
) -> None:
    """Run the orchestrator API in the foreground; on SIGTERM, it completes the open requests and ends.

    Logs are JSON on stdout. Without Redis, answers are cached in the process; without MySQL, the audit log
    is in SQLite. `GET /api/v1/health` shows which stores are in use.

    Examples:

      techsapo serve

      techsapo serve --file techsapo.yaml -e staging --port 4100
    """
    from techsapo_ops.adapters.build import build

    build()  # first: what is installed while the rest is imported is another build than the reported one
    from techsapo_ops.cli.project import open_project

    if not re.fullmatch(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?", instance):
        raise OpsError(
            msg("{instance} is not a name for an instance", instance=repr(instance)),
            msg("write e.g. app-1"),
            exit_code=2,
        )
    # The stack's supervisor runs what `up` rendered, after `up` had looked: an instance that it starts anew,
    # perhaps of a newer version, must not stay down because nobody ran sudo for it.
    # Of other users than root those of services and containers run it, on files of root's or of the owner's.
    supervised = rendered and (os.geteuid() != 0 or _started_for(place.file))
    project = open_project(place.file, place.environment, cross_check=not rendered, trusted=not supervised)
    say_remembered(project)
    spec = stores.spec(project.spec)

    from techsapo_ops.adapters.address import Address
    from techsapo_ops.cli.reference import reference_pages
    from techsapo_ops.serve.app import App
    from techsapo_ops.serve.http.server import run
    from techsapo_ops.serve.metrics.logs import configure_logs
    from techsapo_ops.serve.options import Options
    from techsapo_ops.services.alertmanager.investigating import key_file as alerts_key_file
    from techsapo_ops.services.alertmanager.kind import Alertmanager
    from techsapo_ops.services.alertmanager.signing import key_file
    from techsapo_ops.services.prometheus.kind import Prometheus
    from techsapo_ops.stack.data_notes import FILE
    from techsapo_ops.stack.layout import BUDGET_FOLDER, EVIDENCE_FILE, EVIDENCE_FOLDER
    from techsapo_ops.stack.maintenance import FOLDER
    from techsapo_ops.stores.app_key import shared_key
    from techsapo_ops.wallbounce.start import place_problems, read_calibration, require_start, start_problems

    configure_logs(spec.logs, instance)
    auth, where = _auth(spec, project, host, published=rendered), data or project.layout.data / instance
    ports = [i.port for i in spec.app.resolved_instances]
    address = Address(host or spec.app.host, port or _port(instance, ports))
    named = spec.wallbounce.calibration
    weights = user_path(named, project.directory) if named is not None else None
    auth = auth.model_copy(update={"keys_file": auth.keys_file or str(project.layout.api_keys)})
    problems = start_problems(spec, auth, project.loaded.disabled, weights)
    problems += tuple(place_problems((where,), (address,)))
    require_start(problems, what=msg("instance {instance} can't start", instance=instance))
    options = Options(
        spec,
        instance,
        where,
        disabled=project.loaded.disabled,
        calibration=read_calibration(weights) if weights is not None else None,
        auth=auth,
        app_key=shared_key(app_key or project.layout.app_key) if app_key or not rendered else None,
        shared_ca=stores.shared_ca(spec, project.layout),
        sentinels=stores.sentinels,
        audit_members=stores.audit_members,
        prometheus=_server(spec.monitoring.prometheus, prometheus, rendered=rendered),
        prometheus_login=_login(project, Prometheus.facts.kind, prometheus_password),
        alertmanager=_server(spec.monitoring.alertmanager, alertmanager, rendered=rendered),
        alertmanager_login=_login(project, Alertmanager.facts.kind, alertmanager_password),
        reference=reference_pages(),
        acknowledge_key=acknowledge_key or (None if rendered else key_file(project.layout)),
        alerts_key=alerts_key or (None if rendered else alerts_key_file(project.layout)),
        mask=spec.wallbounce.mask,
        page_facts=_page_facts(page_facts, project),
        knowledge=knowledge or (project.layout.knowledge if spec.knowledge else None),
        maintenance=place.file.parent / FOLDER if rendered else None,
        budget_note=place.file.parent / BUDGET_FOLDER / FILE if rendered else None,
        evidence=place.file.parent / EVIDENCE_FOLDER / EVIDENCE_FILE if rendered else None,
    )
    run(App(options), address.host, address.port)


def _started_for(file: Path) -> bool:
    """Whether the supervisor of the stack that rendered `file` started this: root's variables are root's."""
    from techsapo_ops.engines.native.launch import STATE_VARIABLE

    state = os.environ.get(STATE_VARIABLE)
    return state is not None and file.resolve().is_relative_to(Path(state).resolve())


def _auth(spec: Spec, project: Project, host: str | None, *, published: bool) -> Auth:
    """Who may ask; an address beyond loopback on the command line needs keys too.

    A generated spec says itself what is needed: a container listens on all its addresses, whatever is
    `published`. Raises OpsError where an API without keys would be reached from elsewhere.
    """
    from techsapo_ops.spec.front_door import monitoring_networks, resolved_auth
    from techsapo_ops.spec.models.base import is_loopback

    auth = resolved_auth(spec, project.loaded.environment)
    if not published:
        near = monitoring_networks(auth, isolated=False)
        auth = auth.model_copy(update={"monitoring_networks": near})
    if auth.keys_file is not None:
        auth = auth.model_copy(update={"keys_file": str(user_path(auth.keys_file, project.directory))})
    if host is None or is_loopback(host) or published:
        return auth
    if spec.app.auth.required is False:
        raise OpsError(
            msg(
                "app.auth.required is false, and --host {host} accepts other clients: they could spend the "
                "providers' budget",
                host=host,
            ),
            msg("remove app.auth.required from the spec, and make a key with `techsapo keys create NAME`"),
        )
    return auth.model_copy(update={"required": True})


def _server(
    settings: PrometheusSpec | AlertmanagerSpec, addresses: str | None, *, rendered: bool
) -> tuple[str, ...] | None:
    """Where a server of the monitoring answers, several of them on several machines: a stack says so, by
    hand it is where the spec has it. Raises OpsError for what is no address.
    """
    from techsapo_ops.adapters.address import Address, reachable_host
    from techsapo_ops.spec.store_access import every

    if addresses is not None:
        return tuple(address.url() for address in every(addresses))
    if rendered or not settings.enabled:
        return None
    return (Address(reachable_host(settings.host), settings.port).url(),)


def _login(project: Project, kind: str, password: Path | None) -> BasicLogin:
    """What it is asked with: a stack says so, by hand it is the password that the stack made."""
    from techsapo_ops.adapters.http import BasicLogin
    from techsapo_ops.services.monitor import USER, password_file

    return BasicLogin(USER, password or password_file(project.layout, kind))


def _page_facts(generated: Path | None, project: Project) -> Callable[[], PageFacts]:
    """What the pages show of the spec: the `generated` file of a stack, read whenever they ask. By hand it is
    worked out once.
    """
    from techsapo_ops.serve.options import PageFacts

    def read() -> PageFacts:
        import json

        from techsapo_ops.adapters.files import read_text

        if generated is not None:
            return PageFacts(**json.loads(read_text(generated, what="page facts")))
        from techsapo_ops.services.app.rendered_spec import page_facts

        return PageFacts(**page_facts(project.spec, project.loaded.environment))

    return cache(read) if generated is None else read


def _port(instance: str, ports: list[int]) -> int:
    """The port of `app-2`; the first one for any other name."""
    _, _, number = instance.rpartition("-")
    index = int(number) if number.isdecimal() else 1
    return ports[index - 1] if 0 < index <= len(ports) else ports[0]
