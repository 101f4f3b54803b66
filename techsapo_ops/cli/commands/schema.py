"""`techsapo schema`."""

from __future__ import annotations

from techsapo_ops.cli.options import JsonOutput
from techsapo_ops.cli.output import Output
from techsapo_ops.spec.schema import json_schema


def schema(*, out: JsonOutput) -> None:  # noqa: ARG001 - it is JSON anyway; scripts may still say so
    """Print the spec's JSON Schema (draft 2020-12), for editors that complete and check.

    In VS Code and others with the YAML language server, put this line first in techsapo.yaml:
    # yaml-language-server: $schema=techsapo.schema.json

    Example:

      techsapo schema > techsapo.schema.json
    """
    Output().json(json_schema())
