"""A stack whose Redis wants a login: accounts that the stack makes, or one of the user's own."""

from __future__ import annotations

import urllib.request
from typing import Any

import redis
from backup_lab import PASSWORD
from projects import Project, only_redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from servers import free_port

from techsapo_ops.services.redis.accounts import APP, EXPORTER, OPERATOR, password_file
from techsapo_ops.stack.own_tls import ca_file

__all__ = ["APP", "EXPORTER", "OPERATOR", "account_of", "fetched", "guarded_spec", "own_account"]


def guarded_spec(**options: Any) -> dict[str, Any]:
    """Redis with its exporter, and the app."""
    spec = only_redis(redis={"port": free_port(), **options}, nginx={"enabled": False})
    spec["monitoring"]["exporters"]["redis"] = free_port()
    return spec


def own_account() -> dict[str, str]:
    """One that the user gives."""
    return {"user": "sapo_ops", "password": PASSWORD}


def account_of(
    made: Project, account: str | None, *, password: str | None = None, tls: bool | None = None
) -> redis.Redis:
    """A client that logs in by `account`, or not at all; by the stack's own password, where none is given."""
    if account and password is None:
        password = password_file(made.layout, account).read_text()
    login: dict[str, Any] = {"username": account, "password": password, "retry": Retry(NoBackoff(), 0)}
    if made.spec["redis"].get("tls") if tls is None else tls:
        login |= {"ssl": True, "ssl_ca_certs": str(ca_file(made.layout, "redis")), "ssl_check_hostname": True}
    return redis.Redis(port=made.spec["redis"]["port"], **login)


def fetched(port: int, path: str) -> str:
    """What a service of this host answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        text: str = answer.read().decode()
        return text
