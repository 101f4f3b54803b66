"""The kinds of which an engine has more to do than to run their program or container."""

from __future__ import annotations

from collections.abc import Mapping

from techsapo_ops.services.alertmanager.kind import Alertmanager
from techsapo_ops.services.alertmanager.runtime import AlertmanagerRuntime
from techsapo_ops.services.app.kind import App
from techsapo_ops.services.app.runtime import AppRuntime
from techsapo_ops.services.mysql.exporter import MysqldExporter
from techsapo_ops.services.mysql.kind import Mysql
from techsapo_ops.services.mysql.runtime import MysqldExporterRuntime, MysqlRuntime
from techsapo_ops.services.nginx.kind import Nginx
from techsapo_ops.services.nginx.runtime import NginxRuntime
from techsapo_ops.services.prometheus.kind import Prometheus
from techsapo_ops.services.prometheus.runtime import PrometheusRuntime
from techsapo_ops.services.redis.kind import Redis
from techsapo_ops.services.redis.runtime import RedisRuntime
from techsapo_ops.services.runtime import Runtime

_DEFAULT = Runtime()
_RUNTIMES: Mapping[str, Runtime] = {
    Redis.facts.kind: RedisRuntime(),
    Mysql.facts.kind: MysqlRuntime(),
    MysqldExporter.facts.kind: MysqldExporterRuntime(),
    App.facts.kind: AppRuntime(),
    Nginx.facts.kind: NginxRuntime(),
    Alertmanager.facts.kind: AlertmanagerRuntime(),
    Prometheus.facts.kind: PrometheusRuntime(),
}


def runtime_of(kind: str) -> Runtime:
    """What an engine has to do of a kind; the defaults for one that needs nothing else."""
    return _RUNTIMES.get(kind, _DEFAULT)


def throwaway_kinds() -> tuple[str, ...]:
    """The kinds of which there can be a throwaway copy."""
    return tuple(kind for kind, runtime in _RUNTIMES.items() if runtime.throwaway_program is not None)
