"""Any bytes for a manifest: read as one and written the same again, or declined as damaged."""

from __future__ import annotations

import copy
import json
from typing import Any

from fuzzing import examples
from hostile import manifest
from hypothesis import given, settings
from hypothesis import strategies as st

from techsapo_ops.backup.manifest import read
from techsapo_ops.errors import OpsError

REAL = manifest({"techsapo.yaml": "0" * 64, "templates/a": "1" * 64})
tries = settings(max_examples=examples(200), deadline=None)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def attempt(data: bytes) -> None:
    try:
        found = read(data, "manifest.json")
    except OpsError:
        return
    assert read(found.text().encode(), "manifest.json") == found


@tries
@given(st.data())
def test_no_changed_value_of_a_real_manifest_makes_it_raise_anything_else(data: st.DataObject) -> None:
    found = copy.deepcopy(REAL)
    parent, key = data.draw(st.sampled_from(list(places(found))))
    parent[key] = data.draw(VALUES)
    attempt(json.dumps(found).encode())


def places(value: Any) -> list[tuple[Any, Any]]:
    """Each container below `value` with each of its keys."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *places(value[key]))]
