"""A restart bounds for how long a container that takes nothing new ends what is under way."""

from __future__ import annotations

from pathlib import Path

import pytest
from stacks import EVERYTHING, spec, topology

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.docker_facts import ContainerFacts
