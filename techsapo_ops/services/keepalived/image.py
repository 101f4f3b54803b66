"""keepalived's image, which is built here from Debian's package."""

from __future__ import annotations

import hashlib

from techsapo_ops.services.app.image import base_image
from techsapo_ops.stack.container import Build, Package
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

IMAGE = "techsapo/keepalived"
DOCKERFILE = "docker/keepalived/Dockerfile"


def keepalived_build(topology: Topology, templates: Templates, package: Package) -> Build:
    """How the image is built. It holds nothing of this package: another version of it is no other image."""
    text = templates.render("docker/keepalived.Dockerfile.j2", base=base_image(topology.spec))
    tag = hashlib.sha256(text.encode()).hexdigest()[:12]
    return Build(DOCKERFILE, text, f"{IMAGE}:{tag}", package.source)
