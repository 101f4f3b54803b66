"""Each counter counts: made-up source with what it is to find, and with what it is to leave alone."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.services.registry import kinds
from tests.house import imports, machines, names, ratchets, said, shape, signatures
from tests.house.ratchets import Counter
from tests.house.source import Package


def counted(counter: Counter, **texts: str) -> list[tuple[str, int]]:
    """Path and line of what `counter` finds in modules called `room__name`; `package` is an __init__."""
    paths = {
        name: f"{name}.py".replace("package", "__init__").replace("__", "/", name.count("__"))
        for name in texts
    }
    package = Package.of({paths[name]: textwrap.dedent(text) for name, text in texts.items()})
    return sorted((place.path, place.line) for place in counter(package))


def lines(counter: Counter, text: str, **others: str) -> list[int]:
    """The lines of one module of watch/."""
    return [line for path, line in counted(counter, watch__x=text, **others) if path == "watch/x.py"]


def test_the_kinds_are_those_of_the_registry() -> None:
    assert {kind.name for kind in kinds()} == names.KINDS


def test_names_of_kinds_are_counted_one_by_one_and_prose_is_not() -> None:
    text = '''\
        """redis"""
        KINDS = ("redis", "mysql",
                 f"nginx{1}")
        ALL = "redis mysql, app"
        other = "redis.conf", "the app"
        commands = LazyEntry("jobs", "app")
        """app"""
        '''
    assert lines(names.kind_names, text) == [2, 2, 3, 4]
    assert counted(names.kind_names, services__redis__kind="a = 'redis'", spec__x="a = 'redis'") == []


@each_row(
    "asked",
    [
        "if topology.engine == 'native': pass",
        "if name in ('native', 'swarm'): pass",
        "if state.engine.name == x: pass",
        "a = isinstance(x, NativeEngine)",
        "a = isinstance(x, int | Helper)",
        "a = hasattr(engine, 'docker')",
        "match topology.engine:\n    case x: pass",
        "match x:\n    case NativeEngine(): pass",
        "a = {'native': 1, 'compose': 2}",
        "a = TABLE[topology.engine]",
        "a = name.startswith('compose')",
        "if stack.is_compose: pass",
        "if seen.container: pass",
        "a = isinstance(stack.places, NativePlaces)",
        "def uses_docker() -> bool: return True",
        "def f(compose: bool = False): pass",
    ],
)
def test_a_question_which_engine_runs_is_counted_in_any_spelling(asked: str) -> None:
    engines = {
        "engines__native__engine": "class NativeEngine: pass\nclass Helper: pass",
        "engines__base": "class ComposeStack: pass\nclass State: pass",
        "stack__places": "class Places: pass\nclass NativePlaces: pass\nTABLE[engine]",
    }
    assert len(lines(names.engine_tests, asked, **engines)) == 1


@each_row(
    "told",
    [
        "if topology.engine is None: pass",
        "a = topology.engine",
        "def f(engine: Literal['native', 'compose'] | None = None): pass",
        "if service.name in by_engine: pass",
        "a = service.container or None",
        "TABLE['swarm'] = 1",
        "for engine in engines: engine.stop()",
    ],
)
def test_what_only_hands_an_engine_on_is_not_counted(told: str) -> None:
    assert lines(names.engine_tests, told, engines__base="class State: pass") == []


def test_engines_may_ask_themselves() -> None:
    assert counted(names.engine_tests, engines__choice="a = engine == 'native'") == []


@each_row(
    "asked",
    [
        "if topology.machines: pass",
        "a = 1 if topology.machines else 2",
        "a = x and topology.machines",
        "a = [x for x in y if topology.machines]",
        "assert service.machine is not None",
        "if service.machine is HERE: pass",
        "if len(topology.machines) > 1: pass",
        "if not places.machines(spec): pass",
        "a = f(several=bool(spec.hosts))",
        "if self.spec.hosts: pass",
        "if not noted_machines(state).machines: pass",
        "if layout.machines_note.exists(): pass",
        "here, there = topology.machines, 1\nif here: pass",
        "a = topology.machines\nb = a\nif b: pass",
        "if found := topology.machines: pass",
        "several = any(x)\nif several: pass",
        "def f(*, several_hosts: bool):\n    if several_hosts: pass",
        "def f(hosts: int):\n    if hosts: pass",
        "match topology.machines:\n    case (): pass",
        "if there_are_more(topology): pass",
        "a = entry['machine'] is not None",
        "if stack.spans_hosts: pass",
    ],
)
def test_a_question_whether_there_are_several_hosts_is_counted_in_any_spelling(asked: str) -> None:
    answers = """\
        def there_are_more(topology):
            others = topology.machines
            return bool(others)
        class Stack:
            @property
            def spans_hosts(self):
                return self.topology.machines != ()
        """
    assert len(lines(machines.machine_tests, asked, stack__x=answers)) == 1


@each_row(
    "told",
    [
        "for machine in topology.machines: pass",
        "a = len(topology.machines) - 1",
        "if name in spec.hosts: pass",
        "if service.machine.name == name: pass",
        "if len(topology.of_kind(kind)) > 1: pass",
        "if topology.places.state_travels: pass",
        "fleet_of(topology.machines, runner)",
    ],
)
def test_going_through_the_machines_is_no_question(told: str) -> None:
    assert lines(machines.machine_tests, told) == []


def test_the_rooms_of_several_hosts_may_ask() -> None:
    text = "if topology.machines: pass"
    rooms = dict.fromkeys(("engines__swarm__nodes", "hosts__join", "stack__places"), text)
    assert counted(machines.machine_tests, **rooms) == []


@each_row(
    "naming",
    ["redis_port = 1", "a.REDIS", "a = 'rediss://'", "import redis", "from x import RedisLink", "f(redis=1)"],
)
def test_a_file_that_names_redis_is_counted_once(naming: str) -> None:
    assert len(lines(names.redis_files, f"{naming}\n{naming}")) == 1


def test_a_file_may_speak_of_redis_and_its_own_rooms_may_name_it() -> None:
    assert lines(names.redis_files, '"""Redis."""\n# redis\ndef f():\n    "As Redis does."\n') == []
    rooms = dict.fromkeys(("services__redis__kind", "stores__budget", "spec__models__data"), "import redis")
    assert counted(names.redis_files, **rooms) == []
    assert counted(names.redis_files, apply__redis_tls="", services__nginx="redis = 1") == [
        ("apply/redis_tls.py", 1),
        ("services/nginx.py", 1),
    ]


def test_long_signatures_are_counted_for_functions_methods_and_written_constructors() -> None:
    text = """\
        def six(a, b, c, d, e, f): pass
        def seven(a, b, c, d, e, f, g): pass
        def named(a, b, c, *, d, e, f, g): pass
        async def rest(a, b, c, d, e, *f, **g): pass
        def _private(a, b, c, d, e, f, g): pass
        class A:
            def six(self, a, b, c, d, e, f): pass
            def __init__(self, a, b, c, d, e, f, g): pass
            @staticmethod
            def seven(a, b, c, d, e, f, g):
                def inner(a, b, c, d, e, f, g): pass
        class _B:
            def seven(self, a, b, c, d, e, f, g): pass
        @dataclass
        class Wide:
            a: int; b: int; c: int; d: int; e: int; f: int; g: int
        """
    assert lines(signatures.long_signatures, text) == [2, 3, 4, 8, 10]


def test_a_command_may_have_as_many_options_as_it_needs_and_its_helpers_may_not() -> None:
    text = """\
        from techsapo_ops.cli.options import FileOption
        def up(file: FileOption, b, c, d, e, f, g): pass
        def ask(a: Annotated[str, typer.Option("--a")], b, c, d, e, f, g): pass
        @app.command("list")
        def listed(a, b, c, d, e, f, g): pass
        def helper(a, b, c, d, e, f, g): pass
        """
    assert counted(signatures.long_signatures, cli__x=text) == [("cli/x.py", 6)]


def test_circles_are_found_through_functions_types_and_packages() -> None:
    found = counted(
        imports.import_circles,
        serve__a="def f():\n    from techsapo_ops.serve import b",
        serve__b="if TYPE_CHECKING:\n    from techsapo_ops.serve.c import C",
        serve__c="import os\nimport techsapo_ops.serve.a",
        serve__d="from techsapo_ops.serve.a import f",
        serve__e="from . import e, d",
        serve__package="",
    )
    assert found == [("serve/a.py", 2), ("serve/b.py", 2), ("serve/c.py", 2)]


def test_a_command_that_is_imported_is_counted_and_what_lies_in_its_folder_is_not() -> None:
    found = counted(
        imports.commands_imported,
        cli__main='COMMANDS = {"up": LazyEntry("apply.up", "up"), "jobs": LazyEntry("jobs", "app")}',
        cli__apply__up="",
        cli__jobs__package="from techsapo_ops.cli.jobs import view",
        cli__jobs__view="from techsapo_ops.cli.jobs import app",
        cli__apply__drift="def f():\n    from techsapo_ops.cli.apply.up import show",
        watch__x="from techsapo_ops.cli.apply import up",
    )
    assert found == [("cli/apply/drift.py", 2), ("watch/x.py", 1)]


def test_long_files_are_counted() -> None:
    assert counted(shape.long_files, a="\n" * 400, b="\n" * 401) == [("b.py", 401)]


def test_a_ceiling_is_lowered_to_the_count_but_not_below_its_goal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ceilings.yaml"
    file.write_text("# kept\na:  # why\n  goal: 5\n  ceiling: 9\nb:\n  goal: 0\n  ceiling: 3\n")
    monkeypatch.setattr(ratchets, "CEILINGS", file)
    assert ratchets.lower({"a": 2, "b": 4}) == ["a"]
    assert file.read_text() == "# kept\na:  # why\n  goal: 5\n  ceiling: 5\nb:\n  goal: 0\n  ceiling: 3\n"


def test_texts_for_people_are_messages() -> None:
    text = """\
        class Gone(OpsError): ...
        raise OpsError("the disk is full", f"free {room} bytes")
        raise Gone(msg("the disk is full"), hint="free some room")
        out.say("done with it" if done else msg("not done"))
        out.next(f"techsapo logs {name} --since WHEN")
        out.data(f"{name}  {size}")
        raise OpsError(msg("the disk is full"), msg("free some room"))
        confirm(f"remove {name}?", yes=yes)
        run("the disk is full")
        """
    assert lines(said.bare_texts, text) == [2, 2, 3, 4, 8]
