"""The generated nginx in front of apps that run already."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import Server, free_port, nginx
from stacks import real_host, rendered, spec, topology


@contextmanager
def nginx_before(directory: Path, *ports: int) -> Iterator[Server]:
    """A real nginx with the nginx.conf that is rendered for apps on `ports`."""
    port = free_port()
    wanted = spec(
        app={"instances": [{"port": p} for p in ports]},
        nginx={"enabled": True, "listen": port, "tls_listen": free_port()},
    )
    where = topology(wanted, directory, facts=real_host(sys.executable, root=os.geteuid() == 0))
    conf = rendered(wanted, where)["nginx/nginx.conf"].content
    # Its log is a file here, and of a file /dev/stdout would be a second, independent opening.
    with nginx(conf.replace("/dev/stdout", "access.log"), directory / "nginx", port=port) as server:
        yield server
