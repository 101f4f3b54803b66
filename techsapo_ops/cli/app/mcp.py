"""`techsapo mcp`."""

from __future__ import annotations

from importlib.util import find_spec

from techsapo_ops.cli.app.orchestrator import CaFileOption, UrlOption, orchestrator
from techsapo_ops.cli.options import SpecPlace
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg


def mcp(url: UrlOption = None, ca_file: CaFileOption = None, *, place: SpecPlace) -> None:
    """Let an AI client look at the stack and ask it questions, by the Model Context Protocol on stdio.

    The client starts this command. Its tools change nothing in the stack. `ask` costs money, and with --url
    `why` does, too. They use the running orchestrator, with the API key in TECHSAPO_API_KEY: scope `ask` for
    questions, incidents and knowledge, scope `monitor` for health, alerts and metrics. Without --url, `why`
    reads the stack of the spec, also while the orchestrator is down. Needs the extra `mcp`.

    Examples:

      techsapo mcp

      techsapo mcp --url https://techsapo.example.com
    """
    if find_spec("mcp") is None:
        raise OpsError(
            msg("the packages of the extra `mcp` are not installed"),
            msg(
                "run pip install 'techsapo-ops[mcp]', or in a checkout `.venv/bin/pip install --no-deps "
                "--require-hashes -r .ci/requirements-mcp.lock`"
            ),
        )
    from techsapo_ops.cli.app.mcp_tools import server

    server(lambda: orchestrator(url, place, ca_file), place if url is None else None).run()
