"""Redis: stopped, given the snapshot, started."""

from __future__ import annotations

from techsapo_ops.adapters.pipes import Running
from techsapo_ops.adapters.process import Command
from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.repository import Backup
from techsapo_ops.operations.backup.bring_back import Live, Told
from techsapo_ops.operations.backup.sources import Stack, redis_door
from techsapo_ops.services.redis import facts as redis_facts

# The file is whole, by its size, before anything that is there goes. With an append-only file Redis does not
# look at dump.rdb: it would come up with 0 keys; a snapshot is a valid base of an append-only file instead.
_PUT = """set -e
rm -rf .restoring; mkdir .restoring
file=.restoring/dump.rdb
if [ "$1" = yes ]; then
  mkdir .restoring/appendonlydir
  file=.restoring/appendonlydir/appendonly.aof.1.base.rdb
  echo 'file appendonly.aof.1.base.rdb seq 1 type b' > .restoring/appendonlydir/appendonly.aof.manifest
fi
cat > "$file"
[ "$(wc -c < "$file")" -eq "$2" ] || { echo "only a part of the snapshot came" >&2; exit 1; }
rm -rf dump.rdb appendonlydir
mv .restoring/* .
rmdir .restoring
"""


class LiveRedis(Live):
    """See Live."""

    restarts = True

    def present(self, stack: Stack, part: Part) -> tuple[str, str]:  # noqa: ARG002 - see Live
        """See Live."""
        found = redis_facts.counts(redis_door(stack))
        return f"Redis {found.version}", f"{sum(found.keys.values()):,} keys"

    def bring(self, stack: Stack, backup: Backup, part: Part, told: Told) -> None:
        """See Live."""
        service = stack.topology.of_kind("redis")[0]
        stack.engine.halt(service.name)
        append = "yes" if stack.spec.redis.appendonly else "no"
        put = Command(("sh", "-c", _PUT, "sh", append, str(part.raw_bytes)))
        with Running(stack.engine.beside(service.name, put), feed=True) as shell:
            count = 0
            for data in backup.reader(part):
                shell.write(data)
                count += len(data)
                told("redis", count)
            shell.finish()
        stack.engine.restart(service.name)

    def differences(self, stack: Stack, part: Part) -> list[str]:
        """See Live."""
        return redis_facts.differences(part.facts, redis_door(stack))
