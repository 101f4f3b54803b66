"""Where traces go: what a spec says of it, and what the app's part of it keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rows import each_row
from stacks import spec, topology

from techsapo_ops.render.compose import package
from techsapo_ops.render.stack import secret_files
from techsapo_ops.render.templates import Templates
from techsapo_ops.services.app.kind import App, app_build
from techsapo_ops.services.app.rendered_spec import app_spec_files
from techsapo_ops.spec.load import LoadedSpec, load
from techsapo_ops.stack.places import EngineName

REPOSITORY = Path(__file__).parents[3]
Loader = Callable[..., LoadedSpec]


@each_row(
    "endpoint, headers, told",
    [
        ("http://192.0.2.7:4318", "{Authorization: k}", True),
        ("http://192.0.2.7:4318", "{}", False),
        ("https://192.0.2.7:4318", "{Authorization: k}", False),
        ("http://127.0.0.1:4318", "{Authorization: k}", False),
        ("http://[::1]:4318", "{Authorization: k}", False),
    ],
)
def test_headers_that_go_to_another_host_by_plain_http_are_told(
    loaded: Loader, endpoint: str, headers: str, told: bool
) -> None:
    found = loaded(f"project: x\napp: {{tracing: {{endpoint: '{endpoint}', headers: {headers}}}}}").warnings
    assert [w.path for w in found] == ["app.tracing.endpoint"] * told


def test_the_app_reads_the_collectors_key_from_a_file_that_it_alone_can_read(tmp_path: Path) -> None:
    tracing = {"endpoint": "https://collector.example", "headers": {"api-key": "collectors-key"}}
    where = topology(spec(app={"tracing": tracing}), tmp_path)
    (file,) = app_spec_files(where)
    assert "collectors-key" not in file.content
    (secret,) = [f for f in secret_files(where) if "tracing" in f.path]
    assert (secret.content, secret.mode, secret.owner) == ("collectors-key", 0o600, "app")
    read = load(
        file.content,
        {},
        lambda path: secret.content if path == str(where.layout.config / secret.path) else "another",
        cross_check=False,
    )
    settings = read.spec.app.tracing
    assert settings is not None
    assert settings.headers is not None
    assert settings.headers["api-key"].reveal() == "collectors-key"


def test_the_image_of_an_app_that_is_traced_has_the_packages(tmp_path: Path) -> None:
    where = topology(spec(app={"tracing": {"endpoint": "http://127.0.0.1:4318"}}), tmp_path)
    built = app_build(where, Templates(), package(exact=False))
    assert "COPY --from=source .ci/requirements-otel.lock " in built.text


@each_row(
    "engine, endpoint, told",
    [
        ("compose", "http://127.0.0.1:4318", True),
        ("compose", "http://[::1]:4318", True),
        ("compose", "http://192.0.2.7:4318", False),
        ("native", "http://127.0.0.1:4318", False),
    ],
)
def test_a_collector_that_a_container_cannot_reach_is_told_of(
    tmp_path: Path, engine: EngineName, endpoint: str, told: bool
) -> None:
    where = topology(spec(app={"tracing": {"endpoint": endpoint}}), tmp_path, engine)
    assert any("traces are lost" in note for note in App().notes(where)) is told


def test_the_lock_of_the_extra_holds_all_that_the_other_holds_in_the_same_versions() -> None:
    def pins(name: str) -> set[str]:
        return {line.split()[0] for line in (REPOSITORY / name).read_text().splitlines() if "==" in line}

    plain, traced, all_ = (pins(f".ci/requirements{part}.lock") for part in ("", "-otel", "-dev"))
    assert plain < traced
    assert traced < all_
    assert {pin.partition("==")[0] for pin in traced - plain} >= {
        "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http",
    }  # fmt: skip


def test_the_lock_of_the_tools_for_ai_clients_agrees_with_the_others() -> None:
    def pins(name: str) -> dict[str, str]:
        lines = (REPOSITORY / name).read_text().splitlines()
        return dict(line.split()[0].split("==") for line in lines if "==" in line and line[0].isalpha())

    plain, traced, tools, all_ = (
        pins(f".ci/requirements{part}.lock") for part in ("", "-otel", "-mcp", "-dev")
    )
    assert plain.items() < tools.items() < all_.items()
    assert {name: tools[name] for name in tools.keys() & traced.keys()}.items() <= traced.items()
    assert "mcp" in tools
