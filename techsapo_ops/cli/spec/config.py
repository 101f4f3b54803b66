"""`techsapo config`: the spec, and all that comes from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.apply.administration import recorded
from techsapo_ops.cli.open_stack import topology_for
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.spec.generate import app as templates
from techsapo_ops.cli.spec.generate import generate
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.describe import explain as look_up
from techsapo_ops.spec.describe import json_schema
from techsapo_ops.spec.redact import resolved
from techsapo_ops.stack.secrets import StoredSecret
from techsapo_ops.stack.templates import to_yaml
from techsapo_ops.watch.secrets import find_secret, reveal, service_secrets

if TYPE_CHECKING:
    from techsapo_ops.spec.describe import Child

_WIDEST_DEFAULT = 40

app = CommandGroup()


@app.command()
def show(*, place: SpecPlace, out: JsonOutput) -> None:
    """Print the spec with overlay, variables and defaults filled in; secrets are masked.

    Examples:

      techsapo config show

      techsapo config show -e production --json
    """
    project = place.open()
    data = resolved(project.spec)
    if out.as_json:
        out.json(data)
        return

    for warning in project.warnings:
        out.warn(str(warning))
    out.data(to_yaml(data))


@app.command()
def explain(
    path: Annotated[
        str,
        typer.Argument(
            help="Dotted path of a field, e.g. app.instances; default: the top level.",
        ),
    ] = "",
    *,
    out: JsonOutput,
) -> None:
    """Print a field's type, default and meaning, and the fields below it.

    Examples:

      techsapo config explain

      techsapo config explain app.instances

      techsapo config explain providers.api_key
    """
    explained = look_up(path)
    if out.as_json:
        out.json(explained)
        return
    if explained.path:
        out.data(msg("{path}: {type}", path=explained.path, type=explained.type))
        out.data(msg("  {help}", help=explained.help))
        if explained.required:
            out.data(msg("  required"))
        elif not explained.children and "default:" not in explained.help.lower():
            out.data(msg("  default: {shown}", shown=_shown(explained.default) or msg("none")))
    of_kinds: dict[str, list[Child]] = {}
    for child in sorted(explained.children, key=lambda c: c.key != "kind"):  # the others depend on it
        of_kinds.setdefault(child.kind, []).append(child)
    for kind in sorted(of_kinds, key=bool):  # what every kind has, then the rest in the order of the models
        if explained.path or kind:
            out.data("")
        if kind:
            out.data(msg("only for kind {kinds}:", kinds=kind))
        out.table(("key", "meaning"), [(child.key, _meaning(child)) for child in of_kinds[kind]])


def _meaning(child: Child) -> str:
    """The type and the default on a line of their own, above what the key is for.

    In columns side by side, a terminal of 80 characters has a few letters a line for each.
    """
    default, first = _shown(child.default), child.type
    if child.required:
        first = msg("{type}; required", type=child.type)
    elif default:
        first = msg("{type}; default: {default}", type=child.type, default=default)
    return joined("\n", (first, child.help)) if child.help else first


def _shown(default: Any) -> str:
    if default is None or default == [] or default == {}:
        return ""
    if isinstance(default, str):
        return default
    text = json.dumps(default, ensure_ascii=False)
    return text if len(text) <= _WIDEST_DEFAULT else "…"


@app.command()
def schema() -> None:
    """Print the spec's JSON Schema (draft 2020-12), for editors that complete and check.

    In VS Code and other editors with the YAML language server, put this line first in techsapo.yaml:
    # yaml-language-server: $schema=techsapo.schema.json

    Example:

      techsapo config schema > techsapo.schema.json
    """
    Output().json(json_schema())


app.command()(generate)
app.add_typer(templates, name="templates")
secrets = CommandGroup(
    no_args_is_help=True,
    help="List the passwords of the servers, or show one: `techsapo config secrets show NAME`.",
)
app.add_typer(secrets, name="secrets")


@secrets.command(name="list")
def list_secrets(*, place: SpecPlace, out: JsonOutput) -> None:
    """List the secrets: what each secret opens, where it is, who made it, and which services use it.

    Examples:

      techsapo config secrets list
    """
    secrets = service_secrets(topology_for(place.open()))
    if out.as_json:
        out.json([_secret_json(secret) for secret in secrets])
        return
    if not secrets:
        out.say(msg("No service of this stack has a secret."))
        return
    rows = [(s.name, s.opens, ", ".join(s.used_by), s.made_by, s.place) for s in secrets]
    out.table(("name", "opens", "used by", "made by", "place"), rows)


@secrets.command(name="show")
def show_secret(
    name: Annotated[
        str,
        typer.Argument(help="Name from `techsapo config secrets list`."),
    ],
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Print one secret on stdout, and nothing else. The access is recorded; the secret itself is not.

    Examples:

      techsapo config secrets show redis-operator

      REDISCLI_AUTH=$(techsapo config secrets show redis-operator) redis-cli --user techsapo_operator
    """
    project = place.open()
    secret = find_secret(topology_for(project), name)
    with recorded(project.layout, msg("config secrets show"), {"name": secret.name}, out.warn):
        value = reveal(secret).reveal()
    if out.as_json:
        out.json({**_secret_json(secret), "secret": value})
        return
    if harmless(value) != value:
        raise OpsError(
            msg("secret {secret} contains a character that a terminal can't show", secret=secret.name),
            msg("--json prints the secret with that character escaped"),
        )
    out.data(value)
    account = msg(", account {account}", account=secret.account) if secret.account else ""
    out.say(
        msg(
            "{secret}: {opens}{account}; from {place}",
            secret=secret.name,
            opens=secret.opens,
            account=account,
            place=secret.place,
        )
    )


def _secret_json(secret: StoredSecret) -> dict[str, Any]:
    return {
        "name": secret.name,
        "opens": secret.opens,
        "account": secret.account,
        "used_by": list(secret.used_by),
        "made_by": secret.made_by,
        "place": secret.place,
    }
