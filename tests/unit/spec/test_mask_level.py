"""How much is masked: the field, its older name, and `off` as YAML reads it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rows import each_row

from techsapo_ops.spec.load import LoadedSpec
from techsapo_ops.spec.masking import mask_level
from techsapo_ops.spec.problems import SpecError

Loader = Callable[..., LoadedSpec]


@each_row(
    "written, level",
    [
        ("mask: secrets", "secrets"),
        ("mask: personal", "personal"),
        ('mask: "off"', "off"),
        ("mask: false", "off"),
        ("mask_prompts: true", "personal"),
        ("{mask: secrets, mask_prompts: true}", "secrets"),
    ],
)
def test_the_spec_says_how_much_is_masked_also_by_the_older_name(
    written: str, level: str, loaded: Loader
) -> None:
    spec = loaded(f"project: x\nwallbounce: {{{written.strip('{}')}}}").spec
    assert mask_level(spec, 1) == mask_level(spec, 2) == level


def test_where_the_spec_says_nothing_secrets_are_masked_from_the_second_edition_on(loaded: Loader) -> None:
    spec = loaded("project: x").spec
    assert [mask_level(spec, 1), mask_level(spec, 2)] == ["off", "secrets"]


def test_a_bare_off_which_yaml_readers_disagree_on_is_refused_with_both_spellings(loaded: Loader) -> None:
    with pytest.raises(SpecError, match='write false, or "off"'):
        loaded("project: x\nwallbounce: {mask: off}")
