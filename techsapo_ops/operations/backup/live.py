"""How each kind of data is brought back into the running stack. A new kind is a new module and a row here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from techsapo_ops.operations.backup.bring_back import Live
from techsapo_ops.operations.backup.bring_back_config import LiveConfig
from techsapo_ops.services.app.bring_back import LiveSqlite
from techsapo_ops.services.grafana.bring_back import LiveGrafana
from techsapo_ops.services.mysql.bring_back import LiveMysql
from techsapo_ops.services.prometheus.bring_back import LivePrometheus
from techsapo_ops.services.redis.bring_back import LiveRedis

LIVE: Mapping[str, Live] = MappingProxyType(
    {
        "redis": LiveRedis(),
        "mysql": LiveMysql(),
        "sqlite": LiveSqlite(),
        "prometheus": LivePrometheus(),
        "grafana": LiveGrafana(),
        "config": LiveConfig(),
    }
)
"""Every kind that is restored into the running stack."""
UNASKED = tuple(kind for kind, live in LIVE.items() if not live.named_only)
"""Those that a restore without `--only` brings back."""
