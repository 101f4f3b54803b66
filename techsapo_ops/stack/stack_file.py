"""The words of the stack file of several machines, which render writes and the swarm engine deploys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.stack.places import SWARM

STACK_YML = f"{SWARM}stack.yml"
NODE_LABEL = "techsapo"
"""Label of a node: which machine of the spec it is."""
FOLDERS = "x-folders"
"""Key of a service: what of the state directory is written into a volume of its machine, by volume."""


@lru_cache(maxsize=2)
def parsed(text: str) -> Mapping[str, Any]:
    """What a stack file says. A command asks for it six times, a tenth of a second each; nobody changes it.

    Raises yaml.YAMLError.
    """

    parts: Mapping[str, Any] = read_yaml(text)
    return parts
