"""Options that come together: declared once, taken by a command as one parameter.

    def plan(*, place: SpecPlace, out: FullOutput) -> None: ...

`place` is expanded into --file and --environment, `out` into --json, --quiet and --verbose, where these
parameters are; the command is given the values that they make. Typer itself knows no such thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin

import typer

from techsapo_ops.cli.typer_base import OpsCommand, OpsGroup, get_current_context

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Bundle:
    """Stands in the annotation of a parameter: `options` are an annotation and a default by name.

    The annotated type is called with the values by these names.
    """

    options: Mapping[str, tuple[Any, Any]]

    def parameters(self) -> Iterator[Parameter]:
        """What Typer is shown."""
        for name, (annotation, default) in self.options.items():
            yield Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def expanded(command: Command, *, of_group: bool = False) -> Command:
    """`command` as Typer takes it: with the options of its bundles in place of each.

    What a group does by itself, `of_group`, is not done where a command below it is called: that one has
    options of its own.
    """
    shown: list[Parameter] = []
    made: dict[str, tuple[Callable[..., Any], Bundle]] = {}
    for parameter in signature(command, eval_str=True).parameters.values():
        bundle = _bundle(parameter.annotation)
        if bundle is None:
            shown.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
        else:
            made[parameter.name] = (get_args(parameter.annotation)[0], bundle)
            shown.extend(bundle.parameters())
    if not made:
        return command

    @wraps(command)
    def run(**given: Any) -> Any:
        if of_group and get_current_context().invoked_subcommand is not None:
            return None
        values = {
            name: make(**{option: given.pop(option) for option in bundle.options})
            for name, (make, bundle) in made.items()
        }
        return command(**given, **values)

    del run.__wrapped__  # Typer would read the signature of that one
    run.__signature__ = signature(command).replace(parameters=shown)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return cast(Command, run)


def _bundle(annotation: Any) -> Bundle | None:
    if get_origin(annotation) is not Annotated:
        return None
    return next((given for given in get_args(annotation)[1:] if isinstance(given, Bundle)), None)


class CommandGroup(typer.Typer):
    """A group of commands, such as `techsapo certs`, whose parameters may be bundles.

    By itself it shows its help, where it does nothing else.
    """

    def __init__(self, *, invoke_without_command: bool = False, **settings: Any) -> None:
        settings = {"no_args_is_help": not invoke_without_command, **settings}
        super().__init__(
            cls=OpsGroup,
            add_completion=False,
            pretty_exceptions_enable=False,
            invoke_without_command=invoke_without_command,
            **settings,
        )

    def command(self, *args: Any, **settings: Any) -> Callable[[Command], Command]:
        """Register a command; it stays as it is for whoever calls it from Python."""
        return _registering(super().command(*args, cls=OpsCommand, **settings))

    def callback(self, *args: Any, **settings: Any) -> Callable[[Command], Command]:
        """Register what runs before any command of the group, or in its place."""
        return _registering(super().callback(*args, **settings), of_group=True)


def _registering(register: Callable[[Any], Any], *, of_group: bool = False) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        register(expanded(command, of_group=of_group))
        return command

    return decorate
