"""A key in the URL of a probe stands where many read it, and that is said."""

from __future__ import annotations

from collections.abc import Callable

from rows import each_row

from techsapo_ops.spec.load import LoadedSpec


@each_row(
    "url, said",
    [
        ("https://shop.example.com/health?token=abc123", True),
        ("https://shop.example.com/health?x=1&api_key=abc123", True),
        ("https://shop.example.com/health?X-Amz-Signature=abc123", True),
        ("https://shop.example.com/health?page=2", False),
        ("https://shop.example.com/health?token=", False),
        ("tls://mail.example.com:465", False),
    ],
)
def test_a_key_in_a_probes_query_is_warned_of_and_not_shown(
    loaded: Callable[..., LoadedSpec], url: str, said: bool
) -> None:
    found = loaded(f"project: x\nmonitoring: {{probes: [{{name: shop, url: '{url}'}}]}}\n").warnings
    told = [str(problem) for problem in found if problem.path == "monitoring.probes.0.url"]
    assert bool(told) == said
    assert all("can be read in prometheus.yml" in line and "abc123" not in line for line in told)
