"""How strategies are found, and that a broken one stops nothing else."""

import pickle
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from shared.domain.catalogue import BrokenStrategy
from shared.workflow.registry import Registry, load_strategies

GOOD = """
    from shared.workflow import Context, Workflow

    {variable} = Workflow("{name}", title="Good", retired={retired})

    @{variable}.step
    def {step}(ctx: Context) -> int:
        return 1
"""


def good(name: str, variable: str = "workflow", *, step: str = "only", retired: bool = False) -> str:
    """Return the source of a strategy."""
    return dedent(GOOD).format(name=name, variable=variable, step=step, retired=retired)


Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file below a folder of the test's own."""

    def write(name: str, source: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source))
        return path

    return write


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what the test has imported."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def errors(registry: Registry) -> dict[str, str]:
    """Return what is broken, by the last part of its source."""
    return {Path(broken.file).name: broken.error for broken in registry.broken}


def test_every_file_of_a_folder_is_loaded_except_those_with_an_underscore(write: Write, tmp_path: Path) -> None:
    """Files that only help others begin with one; other files and folders are not looked at."""
    write("a/one.py", good("one"))
    write("b/two.py", good("two"))
    write("a/_helper.py", "raise RuntimeError")
    write("a/notes.txt", "no Python")
    write("a/deep/three.py", good("three"))
    registry = load_strategies(f"{tmp_path / 'a'}, {tmp_path / 'b'},", entry_points=False)
    assert sorted(registry.workflows) == ["one", "two"]
    assert [described.strategy_id for described in registry.descriptions()] == ["one", "two"]
    assert registry.broken == ()


def test_a_module_is_loaded_by_its_name(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold several workflows, and is found wherever Python finds modules."""
    write("desk_package/__init__.py", "")
    write("desk_package/pair.py", good("left") + good("right", variable="second"))
    monkeypatch.syspath_prepend(tmp_path)
    registry = load_strategies("desk_package.pair", entry_points=False)
    assert (sorted(registry.workflows), registry.broken) == (["left", "right"], ())


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_module", "line 1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1\ny = 1 // 0\n", "line 2: ZeroDivisionError"),
        ("def f(:\n", "line 1: SyntaxError"),
        ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
        ("x = 1", "There is no Workflow at the top level"),
        ("from shared.workflow import Workflow\nworkflow = Workflow('Bad Name', title='x')", "line 2: .*lower-case"),
        ("from shared.workflow import Workflow\nworkflow = Workflow('bare', title='x')", "'bare' has no steps"),
        ("\x00", "null bytes"),
    ],
    ids=["import", "crash", "syntax", "exit", "nothing", "name", "steps", "no text"],
)
def test_a_broken_file_is_reported_and_stops_nothing_else(
    write: Write, tmp_path: Path, source: str, error: str
) -> None:
    """Whatever a stranger's file does at import, the others load."""
    write("good.py", good("good"))
    broken = write("broken.py", source)
    registry = load_strategies(str(tmp_path), entry_points=False)
    assert list(registry.workflows) == ["good"]
    [report] = registry.broken
    assert report.file == str(broken)
    assert re.search(error, report.error)


def test_a_file_that_failed_leaves_no_half_made_module(write: Write, tmp_path: Path) -> None:
    """Another file could import it."""
    write("broken.py", "1 // 0")
    before = {name for name in sys.modules if name.endswith(".broken")}
    load_strategies(str(tmp_path), entry_points=False)
    assert {name for name in sys.modules if name.endswith(".broken")} == before


def test_an_id_that_two_files_claim_runs_nowhere(write: Write, tmp_path: Path) -> None:
    """Which of the two trades must not depend on the order of files; both reports name the other."""
    first = write("first.py", good("same"))
    second = write("second.py", good("same"))
    write("third.py", good("third"))
    registry = load_strategies(str(tmp_path), entry_points=False)
    assert list(registry.workflows) == ["third"]
    assert {report.file for report in registry.broken} == {str(first), str(second)}
    assert str(second) in errors(registry)["first.py"]
    assert str(first) in errors(registry)["second.py"]
    assert "rename all but one" in errors(registry)["first.py"]


def test_an_id_that_one_file_claims_twice_runs_nowhere_either(write: Write, tmp_path: Path) -> None:
    """Copied and not renamed."""
    write("twice.py", good("same") + good("same", variable="other"))
    registry = load_strategies(str(tmp_path), entry_points=False)
    assert registry.workflows == {}
    assert ["this file, once more" in report.error for report in registry.broken] == [True, True]


def test_old_definitions_stand_beside_the_current_one(write: Write, tmp_path: Path) -> None:
    """Each is found by what a run is pinned to, only the current one is described, and the others are named."""
    write("same.py", good("same"))
    write("same_1.py", good("same", step="before", retired=True))
    write("same_0.py", good("same", step="first", retired=True) + good("other", "other", retired=True))
    registry = load_strategies(str(tmp_path), entry_points=False)
    assert registry.broken == ()
    assert [described.steps[0].name for described in registry.descriptions()] == ["only"]
    assert not registry.workflows["same"].retired
    assert [definition.strategy_id for definition in registry.retired_definitions()] == ["other", "same", "same"]
    for workflow in [registry.workflows["same"], *registry.retired]:
        assert registry.definition(workflow.name, workflow.definition_hash) is workflow
    assert registry.definition("same", "f" * 64) is None
    assert registry.definition("other", registry.workflows["same"].definition_hash) is None
    assert (registry.knows("same"), registry.knows("other"), registry.knows("third")) == (True, True, False)


def test_a_retired_definition_that_is_like_the_current_one_is_not_used(write: Write, tmp_path: Path) -> None:
    """A run could mean either: the current one stands, whatever the order of files, and the report says what to do."""
    write("a_old.py", good("same", retired=True))
    current = write("now.py", good("same"))
    write("z_old.py", good("same", step="before", retired=True))
    registry = load_strategies(str(tmp_path), entry_points=False)
    assert list(registry.workflows) == ["same"]
    assert [workflow.steps[0].name for workflow in registry.retired] == ["before"]
    [report] = registry.broken
    assert report.file.endswith("a_old.py")
    assert str(current) in report.error
    assert "Keep one of them" in report.error


def test_of_two_retired_definitions_that_are_alike_neither_is_used(write: Write, tmp_path: Path) -> None:
    """Which of the two goes on with a run must not depend on the order of files."""
    write("one.py", good("same", retired=True))
    write("two.py", good("same", retired=True))
    registry = load_strategies(str(tmp_path), entry_points=False)
    assert (registry.workflows, registry.retired) == ({}, ())
    assert "two.py" in errors(registry)["one.py"]
    assert "one.py" in errors(registry)["two.py"]


def test_two_current_definitions_of_one_id_leave_the_retired_one_at_work(write: Write, tmp_path: Path) -> None:
    """The mistake stops new runs, and the report names the way to keep an old definition."""
    write("now.py", good("same"))
    write("then.py", good("same", step="before"))
    write("once.py", good("same", step="first", retired=True))
    registry = load_strategies(str(tmp_path), entry_points=False)
    assert registry.workflows == {}
    assert [workflow.steps[0].name for workflow in registry.retired] == ["first"]
    assert set(errors(registry)) == {"now.py", "then.py"}
    assert "retired=True" in errors(registry)["now.py"]


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ("no/such/folder", "does not exist: create it or correct it"),
        ("no_such_module_or_folder", "no folder and no module of this name"),
        ("no_such_package.module", "no folder and no module of this name"),
        ("pyproject.toml", "is a file: name its folder"),
    ],
)
def test_an_entry_that_is_not_there_is_reported(entry: str, error: str) -> None:
    """A typing error in the setting must not look like an empty desk."""
    registry = load_strategies(entry, entry_points=False)
    assert registry.workflows == {}
    [report] = registry.broken
    assert report.file == entry
    assert error in report.error


def test_a_folder_that_is_named_twice_is_loaded_once(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By two paths, or as a folder and as a module."""
    write("house/__init__.py", "")
    write("house/one.py", good("one"))
    monkeypatch.syspath_prepend(tmp_path)
    registry = load_strategies(f"{tmp_path}/house,{tmp_path}/house/../house,house.one", entry_points=False)
    assert (list(registry.workflows), registry.broken) == (["one"], ())


def test_files_of_a_folder_help_each_other_by_relative_import(write: Write, tmp_path: Path) -> None:
    """The folder is a package of its own, and two folders may hold files of the same name."""
    for folder, name in (("a", "one"), ("b", "two")):
        write(f"{folder}/_names.py", f"NAME = {name!r}")
        write(f"{folder}/same.py", "from ._names import NAME\n" + good("").replace('""', "NAME"))
    registry = load_strategies(f"{tmp_path / 'a'},{tmp_path / 'b'}", entry_points=False)
    assert (sorted(registry.workflows), registry.broken) == (["one", "two"], ())


def test_classes_of_a_file_can_be_pickled_and_refer_to_each_other(write: Write, tmp_path: Path) -> None:
    """Its module has a name, the same in every process, and stands in sys.modules under it."""
    write(
        "odd-name.v2.py",
        """
        from __future__ import annotations

        from pydantic import BaseModel

        from shared.workflow import Context, Workflow

        workflow = Workflow("odd", title="Odd")

        class Outer(BaseModel):
            inner: Inner | None = None

        class Inner(BaseModel):
            value: int = 1

        @workflow.step
        def only(ctx: Context) -> Outer:
            return Outer(inner=Inner())
        """,
    )
    registry = load_strategies(str(tmp_path), entry_points=False)
    assert registry.broken == ()
    [step] = registry.workflows["odd"].steps
    value = step.call(None, None, {})
    assert pickle.loads(pickle.dumps(value)) == value
    again = load_strategies(str(tmp_path), entry_points=False)
    assert again.workflows["odd"].steps[0].function.__module__ == step.function.__module__


def test_installed_packages_offer_strategies_by_entry_points(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module, or one workflow in it; what is neither, or fails, is reported under its name."""
    write("offer_module.py", good("by-module"))
    write("offer_workflow.py", good("by-workflow"))
    write("offer_broken.py", "1 // 0")
    write(
        "offer-1.0.dist-info/entry_points.txt",
        """
        [blotter.strategies]
        module = offer_module
        one = offer_workflow:workflow
        again = offer_workflow:workflow
        broken = offer_broken
        number = offer_workflow:only
        """,
    )
    write("offer-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: offer\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = load_strategies("")
    assert {"by-module", "by-workflow"} <= set(registry.workflows)
    assert {report.file for report in registry.broken} == {
        "entry point broken = offer_broken",
        "entry point number = offer_workflow:only",
    }
    assert (
        BrokenStrategy(
            file="entry point number = offer_workflow:only",
            error="It is a function: let it name a module, or a Workflow in one.",
        )
        in registry.broken
    )
    assert not {"by-module", "by-workflow"} & set(load_strategies("", entry_points=False).workflows)
