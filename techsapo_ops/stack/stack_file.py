"""The words of the stack file of several machines, which render writes and the swarm engine deploys."""

from __future__ import annotations

from techsapo_ops.stack.places import SWARM

STACK_YML = f"{SWARM}stack.yml"
NODE_LABEL = "techsapo"
"""Label of a node: which machine of the spec it is."""
FOLDERS = "x-folders"
"""Key of a service: what of the state directory is written into a volume of its machine, by volume."""
