"""How much is masked: the field, and `off` as YAML reads it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rows import each_row

from techsapo_ops.spec.load import LoadedSpec
from techsapo_ops.spec.problems import SpecError

Loader = Callable[..., LoadedSpec]


@each_row(
    "written, level",
    [
        ("mask: secrets", "secrets"),
        ("mask: personal", "personal"),
        ('mask: "off"', "off"),
        ("mask: false", "off"),
    ],
)
def test_the_spec_says_how_much_is_masked(written: str, level: str, loaded: Loader) -> None:
    assert loaded(f"project: x\nwallbounce: {{{written}}}").spec.wallbounce.mask == level


def test_where_the_spec_says_nothing_secrets_are_masked(loaded: Loader) -> None:
    assert loaded("project: x").spec.wallbounce.mask == "secrets"


def test_a_bare_off_which_yaml_readers_disagree_on_is_refused_with_both_spellings(loaded: Loader) -> None:
    with pytest.raises(SpecError, match='write false, or "off"'):
        loaded("project: x\nwallbounce: {mask: off}")
