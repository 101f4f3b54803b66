"""app/techsapo.yaml: the part of the spec that the app reads, resolved, every secret as a file.

Beside it what the app's own pages show of the spec: thresholds of alerts, whom they reach, what others may
reach.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from techsapo_ops.errors import OpsError
from techsapo_ops.masking.fields import has_secret
from techsapo_ops.messages import msg
from techsapo_ops.services.mysql.kind import APP_PASSWORD
from techsapo_ops.services.prometheus.alert_rules import alerts_of, threshold_of
from techsapo_ops.services.redis.accounts import APP, APP_SECRET, accounts_made, password_file
from techsapo_ops.spec.exposure import exposures
from techsapo_ops.spec.front_door import host_names, monitoring_networks, resolved_auth
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.root import APP_SECTIONS, NOT_RENDERED
from techsapo_ops.spec.redact import body_secrets, to_yaml_data
from techsapo_ops.spec.user_path import user_path
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.secrets import secret_name
from techsapo_ops.stack.templates import to_json, to_yaml
from techsapo_ops.stack.topology import Topology

APP_SPEC = "app/techsapo.yaml"
PAGE_FACTS = "pages/stack.json"
CALIBRATION = "app/calibration.json"
"""What labels taught of confidence. It is rendered, so that a new one is a change like any other."""
CONTAINER_KEYS_FOLDER = "/etc/techsapo/api-keys"
"""Where the app's container finds the folder of the API keys' digests."""
CONTAINER_KNOWLEDGE = "/etc/techsapo/knowledge"
"""Where the app's container finds the folder with the index of the team's own knowledge."""

_HEAD = "# Made by `techsapo config generate` from your techsapo.yaml: change that one.\n"


def app_spec_files(topology: Topology) -> tuple[RenderedFile, ...]:
    """app/techsapo.yaml for `techsapo serve`.

    Only what the app reads is in it: a changed alert must not restart the app, and the app's user can't
    open the secrets of others. Which instances there are is left out for the same reason; each is told
    its own address on its command line.
    """
    spec, layout = topology.spec, topology.layout
    data = to_yaml_data(spec, lambda path: str(topology.secret_path(secret_name(path))))
    app_data: dict[str, Any] = {name: data[name] for name in APP_SECTIONS if data.get(name) is not None}
    settings = {k: v for k, v in app_data.get("app", {}).items() if k not in NOT_RENDERED}
    app_data["app"] = {
        **settings,
        **_hosts(topology),
        "auth": {**settings.get("auth", {}), **_auth(topology)},
    }
    app_data["logs"].pop("syslog", None)  # rsyslog's alone: the app writes the same lines
    if spec.wallbounce.calibration is not None:
        weights = str(topology.config_dir() / CALIBRATION)
        app_data["wallbounce"]["calibration"] = weights.replace("${", "$${")
    for service in app_data.get("investigate", {}).get("services", ()):
        for place in (service, *service.get("logs", ())):  # it does not know where the spec was
            for name in {"runbook", "path"} & place.keys():
                if place[name] is not None and "://" not in place[name]:
                    place[name] = str(user_path(place[name], layout.spec_file.parent)).replace("${", "$${")
    for section in app_data.values():
        if isinstance(section, dict) and section.get("tls") is False:
            del section["tls"]  # the word alone would start every app anew
    if not topology.has("redis"):
        app_data["redis"] = {"enabled": False}
    else:
        app_data["redis"].pop("accounts", None)
        if accounts_made(topology):
            app_data["redis"] |= {
                "user": APP,
                "password_file": _managed(topology, password_file(layout, APP), APP_SECRET),
            }
    if not topology.has("mysql"):
        app_data.pop("mysql", None)
    elif spec.mysql is not None and spec.mysql.password is None:
        app_data["mysql"]["password_file"] = _managed(topology, layout.mysql_password, APP_PASSWORD)
    text = _HEAD + to_yaml(app_data) + "\n"
    if has_secret(text) or body_secrets(spec):  # in a `base_url` or an `extra_body`
        rendered = RenderedFile(APP_SPEC, text, mode=0o600, secret=True, owner="app")
    else:
        rendered = RenderedFile(APP_SPEC, text, owner="app")
    return rendered, *_calibration(spec, layout)


def _calibration(spec: Spec, layout: Layout) -> Iterator[RenderedFile]:
    """The user's file of it, if it is there; `up` says so where it is not."""
    named = spec.wallbounce.calibration
    if named is None or not (file := calibration_file(named, layout)).is_file():
        return
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OpsError(msg("cannot read {file}: {error}", file=file, error=error)) from None
    yield RenderedFile(CALIBRATION, text, owner="app")


def _managed(topology: Topology, here: Path, name: str) -> str:
    """Where the app finds a password that the tool made, and that its container is given by `name`."""
    # The loader takes `${` for a variable; a folder may be called so.
    return str(topology.places.seen(here, topology.secret_path(name))).replace("${", "$${")


def calibration_file(named: str, layout: Layout) -> Path:
    """The file of fitted weights on the host."""
    return user_path(named, layout.spec_file.parent)


def keys_file(spec: Spec, layout: Layout) -> Path:
    """The file of API keys on the host."""
    named = spec.app.auth.keys_file
    return user_path(named, layout.spec_file.parent) if named else layout.api_keys


def _hosts(topology: Topology) -> dict[str, Any]:
    """Under which names it answers: it is not told what the spec says of nginx and certificates.

    An instance knows its own name, under which Prometheus and the scheduler reach its container.
    """
    spec = topology.spec
    fronts = topology.of_kind("nginx") if topology.places.isolated else ()
    return {"allowed_hosts": [*host_names(spec), *(front.name for front in fronts)]}


def _auth(topology: Topology) -> dict[str, Any]:
    """What the app can't see of its surroundings: whether it is reachable, where the keys are, and nginx."""
    spec, places = topology.spec, topology.places
    auth = resolved_auth(spec, topology.layout.environment)
    here = keys_file(spec, topology.layout)
    proxies = list(auth.proxies)
    if not proxies:
        names = (name for front in topology.of_kind("nginx") for name in places.seen_as(front))
        proxies = list(dict.fromkeys(names))
    return {
        "required": auth.required,
        "refuse_without_keys": auth.refuse_without_keys,
        "keys_file": str(places.seen(here, f"{CONTAINER_KEYS_FOLDER}/keys.json")).replace("${", "$${"),
        "proxies": proxies,
        "monitoring_networks": list(monitoring_networks(auth, isolated=places.isolated)),
    }


def page_facts(spec: Spec, environment: str | None) -> dict[str, Any]:
    """The number that each alert compares with, by its name; what others may reach by the rules of the spec,
    and the reason where that is meant; which lists of `notifications` have no receiver.
    """
    thresholds = {name: threshold_of(spec, alert) for name, alert in alerts_of(spec).items()}
    return {
        "thresholds": {name: number for name, number in thresholds.items() if number is not None},
        "exposures": [
            {"rule": e.rule, "message": e.message, "accepted": e.accepted}
            for e in exposures(spec, environment)
        ],
        "unreached": spec.unreached,
    }


def page_file(topology: Topology) -> RenderedFile:
    """All of it. Not part of app/techsapo.yaml: the pages read it when they are looked at, and a changed
    alert must not restart the app.
    """
    facts = page_facts(topology.spec, topology.layout.environment)
    return RenderedFile(PAGE_FACTS, to_json(facts, indent=2) + "\n")


def app_user(topology: Topology) -> int | None:
    """The id of the app's user on this host, where that may be another than the user at work."""
    service = topology.of_kind("app")[0]
    if topology.places.from_images:
        return service.facts.uid
    return None if service.user is None else pwd.getpwnam(service.user).pw_uid


def keys_owner(topology: Topology) -> tuple[int, int] | None:
    """Whose the file of API keys is, uid and gid: the app reads it, as its own user.

    None where that is the one at work, or only root could give it away.
    """
    services = topology.of_kind("app")
    if os.geteuid() != 0 or not services:
        return None
    service = services[0]
    if service.user is not None:
        entry = pwd.getpwnam(service.user)
        return entry.pw_uid, entry.pw_gid
    if topology.places.as_root(service, topology.host):
        return None
    return service.facts.uid, service.facts.uid
