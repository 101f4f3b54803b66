"""Runs `techsapo` and kills it with SIGKILL at one exact point: `python certificate_fault.py POINT COMMAND…`.

A point is one of an order (`placed`) or of a deploy (`stored`, `activated`, `reloaded`, `recorded`). The
product itself knows nothing of it.
"""

from __future__ import annotations

import sys
from typing import Any

from fault_point import die

from techsapo_ops.certs import store
from techsapo_ops.certs.challenges import HttpResponder
from techsapo_ops.services.nginx.certificate import NginxSite

ORDERED = "placed"
POINTS: dict[str, tuple[type, str]] = {
    ORDERED: (HttpResponder, "place"),
    "stored": (store.Store, "put"),
    "activated": (store.Store, "activate"),
    "reloaded": (NginxSite, "reload"),
    "recorded": (store.Store, "remember"),
}


def arm(point: str) -> None:
    """Make this process die at `point`."""
    owner, name = POINTS[point]
    act = getattr(owner, name)

    def acted(self: Any, *arguments: Any) -> Any:
        done = act(self, *arguments)
        if point != "recorded" or arguments[0].deployed == self.newest().number:
            die()
        return done

    setattr(owner, name, acted)


if __name__ == "__main__":
    arm(sys.argv[1])
    from techsapo_ops.cli.main import main

    sys.argv = ["techsapo", *sys.argv[2:]]
    main()
