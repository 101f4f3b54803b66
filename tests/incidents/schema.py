"""Writes the JSON Schema of bundles, after a change of their types: `python -m tests.incidents.schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import techsapo_ops.incidents
from techsapo_ops.incidents.bundle import Answer
from techsapo_ops.incidents.material import Material

SCHEMA = Path(techsapo_ops.incidents.__file__).parent / "bundle.schema.json"


def bundle_schema() -> dict[str, Any]:
    """The schema of alert.json; those of other files' values are in `$defs`, by the class of each."""
    material = TypeAdapter(Material).json_schema()
    answer = TypeAdapter(Answer).json_schema()
    definitions = {**material.pop("$defs"), **answer.pop("$defs"), "Answer": answer}
    del definitions["Series"]  # metrics.om has them
    material["properties"]["series"] = {"type": "string", "description": "OpenMetrics text, as in metrics.om"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **material,
        "$defs": dict(sorted(definitions.items())),
    }


if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(bundle_schema(), indent=1) + "\n")
