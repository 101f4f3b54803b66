"""How each kind of data is brought back into the running stack. A new kind is a new module and a row here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from techsapo_ops.operations.live.base import Live
from techsapo_ops.operations.live.config import LiveConfig
from techsapo_ops.operations.live.grafana import LiveGrafana
from techsapo_ops.operations.live.mysql import LiveMysql
from techsapo_ops.operations.live.prometheus import LivePrometheus
from techsapo_ops.operations.live.redis import LiveRedis
from techsapo_ops.operations.live.sqlite import LiveSqlite

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
