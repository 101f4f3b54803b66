"""app/techsapo.yaml: the part of the spec that the app reads, resolved, every secret as a file."""

from __future__ import annotations

from typing import Any

from techsapo_ops.render.secrets import secret_name
from techsapo_ops.render.templates import to_yaml
from techsapo_ops.spec.desired import RenderedFile
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.redact import to_yaml_data
from techsapo_ops.spec.topology import Topology

APP_SPEC = "app/techsapo.yaml"

_SECTIONS = (
    "project",
    "locale",
    "app",
    "providers",
    "wallbounce",
    "budget",
    "audit",
    "redis",
    "mysql",
    "logs",
)
_HEAD = "# Made by `techsapo generate` from your techsapo.yaml: change that one.\n"


def app_spec_files(spec: Spec, topology: Topology) -> tuple[RenderedFile, ...]:
    """app/techsapo.yaml for `techsapo serve`.

    Only what the app reads is in it: a changed alert must not restart the app, and the app's user can't
    open the secrets of others. Which instances there are is left out for the same reason; each is told
    its own address on its command line.
    """
    data = to_yaml_data(spec, lambda path: str(topology.secret_path(secret_name(path))))
    app_data: dict[str, Any] = {name: data[name] for name in _SECTIONS if data.get(name) is not None}
    if "app" in app_data:
        app_data["app"] = {k: v for k, v in app_data["app"].items() if k not in {"host", "port", "instances"}}
    if not topology.has("redis"):
        app_data["redis"] = {"enabled": False}
    if not topology.has("mysql"):
        app_data.pop("mysql", None)
    elif spec.mysql is not None and spec.mysql.password is None:
        managed = (
            topology.secret_path("mysql-password")
            if topology.engine == "compose"
            else topology.layout.mysql_password
        )
        # The loader takes `${` for a variable; a folder may be called so.
        app_data["mysql"]["password_file"] = str(managed).replace("${", "$${")
    return (RenderedFile(APP_SPEC, _HEAD + to_yaml(app_data) + "\n", owner="app"),)
