"""What Prometheus is told of drained hosts, through the node exporters' textfile collector.

Swarm's own list says which hosts are drained. So each delivery brings that, also after a command that was
killed between the two, and of a host that somebody drained by Docker's own word.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from techsapo_ops.adapters.textfile import Sample, read_textfile, write_textfile
from techsapo_ops.engines.swarm.nodes import Node
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.machine import Machine

NAME = "drained"
"""Name of the file and value of its label `name`."""
METRIC = "techsapo_host_drained_timestamp_seconds"
DRAINED = "drained"
"""Its label that says which host; `host` says whose node exporter told it."""


def note_drained(layout: Layout, machines: Sequence[Machine], there: Sequence[Node]) -> None:
    """Leave which of `machines` are drained, by the nodes of the Swarm. Raises OpsError.

    Of one that was before it stays since when; a file that says the same already is not written anew.
    """
    known = {s.labels[DRAINED]: s.value for s in read_textfile(layout.textfiles, NAME)}
    names = {machine.name for machine in machines}
    drained = {node.name for node in there if node.availability == "drain"} & names
    if drained == known.keys():
        return
    now = time.time()
    samples = [Sample(METRIC, known.get(host, now), {DRAINED: host}) for host in sorted(drained)]
    write_textfile(layout.textfiles, NAME, samples)
