"""`techsapo config secrets`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.completes import completes
from techsapo_ops.cli.open_stack import topology_for
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.administration import recorded
from techsapo_ops.operations.secrets import find_secret, kept_secrets, reveal
from techsapo_ops.stack.kept_secret import KeptSecret

app = CommandGroup(
    no_args_is_help=True,
    help="List the passwords of the servers, or show one: `techsapo config secrets show NAME`.",
)


@app.command(name="list")
def list_secrets(*, place: SpecPlace, out: JsonOutput) -> None:
    """List the secrets: what each opens, where it is, who made it and who uses it.

    Examples:

      techsapo config secrets list
    """
    secrets = kept_secrets(topology_for(place.open()))
    if out.as_json:
        out.json([_told(secret) for secret in secrets])
        return
    if not secrets:
        out.say(msg("No service of this stack has a secret."))
        return
    rows = [(s.name, s.opens, ", ".join(s.used_by), s.made_by, s.place) for s in secrets]
    out.table(("name", "opens", "used by", "made by", "place"), rows)


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(help="One of `techsapo config secrets list`.", autocompletion=completes("secrets")),
    ],
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Print one secret on stdout, and nothing else there. That it was shown is recorded, the secret is not.

    Examples:

      techsapo config secrets show redis-operator

      REDISCLI_AUTH=$(techsapo config secrets show redis-operator) redis-cli --user techsapo_operator
    """
    project = place.open()
    secret = find_secret(topology_for(project), name)
    with recorded(project.layout, msg("config secrets show"), {"name": secret.name}, out.warn):
        value = reveal(secret).reveal()
    if out.as_json:
        out.json({**_told(secret), "secret": value})
        return
    if harmless(value) != value:
        raise OpsError(
            msg("{secret} has a character that no terminal shows", secret=secret.name),
            msg("--json prints it, escaped"),
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


def _told(secret: KeptSecret) -> dict[str, Any]:
    return {
        "name": secret.name,
        "opens": secret.opens,
        "account": secret.account,
        "used_by": list(secret.used_by),
        "made_by": secret.made_by,
        "place": secret.place,
    }
