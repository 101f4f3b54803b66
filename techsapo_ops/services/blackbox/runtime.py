"""What a running blackbox exporter has loaded."""

from __future__ import annotations

from collections.abc import Mapping

from techsapo_ops.adapters.monitoring_server import LastReload, MonitoringServer
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.messages import msg
from techsapo_ops.services.blackbox.kind import BLACKBOX_YML
from techsapo_ops.services.loaded_configuration import TIMEOUT, Loaded, Server, lacking
from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.desired import RenderedFile


def _differs(server: Server, prefix: str, files: Mapping[str, RenderedFile]) -> str:
    answer = MonitoringServer(server.url, timeout=TIMEOUT).fetch("config")
    if not answer.ok:
        return msg("/config answers HTTP {status}", status=answer.status)
    ours, theirs = read_yaml(files[prefix + BLACKBOX_YML].content), read_yaml(answer.text)
    if gone := sorted(set((theirs or {}).get("modules") or {}) - set(ours["modules"])):
        return msg("{path}.{key} is still loaded", path="modules", key=gone[0])
    return lacking(ours, theirs)


def _last_reload(server: Server) -> LastReload | None:
    return MonitoringServer(server.url, timeout=TIMEOUT).last_reload("blackbox_exporter_config")


class BlackboxRuntime(Runtime):
    """It shows what it has loaded."""

    loaded = Loaded(_differs, _last_reload)


RUNTIME = BlackboxRuntime()
