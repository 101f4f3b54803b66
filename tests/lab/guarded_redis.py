"""A stack whose Redis has an account, and speaks TLS where that is asked for."""

from __future__ import annotations

import urllib.request
from typing import Any

import redis
from backup_lab import PASSWORD
from projects import Project, only_redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from servers import free_port

from techsapo_ops.stack.own_tls import ca_file

USER = "sapo_ops"


def guarded_spec(**options: Any) -> dict[str, Any]:
    """Redis with its exporter, and the app."""
    login = {"port": free_port(), "user": USER, "password": PASSWORD, **options}
    spec = only_redis(redis=login, nginx={"enabled": False})
    spec["monitoring"]["exporters"]["redis"]["enabled"] = True
    return spec


def client(made: Project, **options: Any) -> redis.Redis:
    """A client as the spec wants it, but for `options`."""
    login: dict[str, Any] = {"username": USER, "password": PASSWORD, "retry": Retry(NoBackoff(), 0)}
    if made.spec["redis"].get("tls"):
        login |= {"ssl": True, "ssl_ca_certs": str(ca_file(made.layout, "redis")), "ssl_check_hostname": True}
    return redis.Redis(port=made.spec["redis"]["port"], **{**login, **options})


def fetched(port: int, path: str) -> str:
    """What a service of this host answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        text: str = answer.read().decode()
        return text
