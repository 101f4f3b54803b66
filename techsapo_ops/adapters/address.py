"""Where a server listens, as a plain value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """Host and port, as whoever asks sees them."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, path: str = "", scheme: str = "http") -> str:
        """`scheme://host:port` followed by `path`."""
        return f"{scheme}://{self}{path}"


def reachable_host(host: str) -> str:
    """Where a process of this host reaches what listens on `host`: loopback for "every address"."""
    return {"0.0.0.0": "127.0.0.1", "localhost": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared
