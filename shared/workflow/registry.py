"""Every strategy that a process can run, found by setting and by entry point; broken files stop nothing else."""

import sys
import traceback
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from shared.domain.catalogue import BrokenStrategy, RetiredDefinition, StrategyDescription
from shared.workflow.folders import load_file, strategy_files
from shared.workflow.workflow import Workflow

Key = TypeVar("Key", bound=Hashable)

ENTRY_POINTS = "blotter.strategies"
"""The group of entry points under which an installed package offers a module or a workflow."""

NO_WORKFLOW = (
    "There is no Workflow at the top level of this file. Write workflow = Workflow(...), or let the name of a file "
    "that only helps others begin with an underscore."
)


@dataclass(frozen=True, kw_only=True)
class Registry:
    """What was found: workflows by strategy id, and what could not be loaded, each with its reason.

    `workflows` takes new runs; `retired` holds old definitions, by which unfinished runs go on.
    """

    workflows: dict[str, Workflow]
    broken: tuple[BrokenStrategy, ...]
    retired: tuple[Workflow, ...] = ()

    def definition(self, strategy_id: str, definition_hash: str) -> Workflow | None:
        """Return the definition that a run is pinned to, be it current or retired; None if it is not loaded."""
        for workflow in self._definitions(strategy_id):
            if workflow.definition_hash == definition_hash:
                return workflow
        return None

    def knows(self, strategy_id: str) -> bool:
        """Tell whether any definition of the strategy is loaded."""
        return any(self._definitions(strategy_id))

    def descriptions(self) -> tuple[StrategyDescription, ...]:
        """Return what others may know of the strategies, by id."""
        return tuple(self.workflows[name].describe() for name in sorted(self.workflows))

    def retired_definitions(self) -> tuple[RetiredDefinition, ...]:
        """Return what others may know of the retired definitions, by id and hash."""
        pairs = sorted((workflow.name, workflow.definition_hash) for workflow in self.retired)
        return tuple(RetiredDefinition(strategy_id=name, definition_hash=pinned) for name, pinned in pairs)

    def _definitions(self, strategy_id: str) -> Iterator[Workflow]:
        if strategy_id in self.workflows:
            yield self.workflows[strategy_id]
        yield from (workflow for workflow in self.retired if workflow.name == strategy_id)


def load_strategies(spec: str, entry_points: bool = True) -> Registry:
    """Load what `spec` names (BLOTTER_STRATEGIES), and what installed packages offer as entry points.

    `spec` is a comma-separated list of folders, of which every `.py` file is loaded that does not begin with an
    underscore, and of importable module names. It never raises for what it loads: a file that fails, an id that two
    files claim, two definitions that no run can tell apart, and a folder that is not there are reported in `broken`,
    and all else is usable.
    """
    search = _Search()
    for entry in filter(None, (part.strip() for part in spec.split(","))):
        search.entry(entry)
    if entry_points:
        for point in sorted(metadata.entry_points(group=ENTRY_POINTS)):
            search.entry_point(point)
    return search.registry()


Found = tuple[Workflow, str]
"""A workflow and its source."""


@dataclass
class _Search:
    """What has been found so far: workflows with their source, sources that were read, and what is broken."""

    found: list[Found] = field(default_factory=list)
    read: set[Path] = field(default_factory=set)
    broken: list[BrokenStrategy] = field(default_factory=list)

    def entry(self, entry: str) -> None:
        """Load a folder or a module."""
        folder = Path(entry).expanduser()
        if folder.is_dir():
            for file in strategy_files(folder):
                self._file(file)
        elif all(part.isidentifier() for part in entry.split(".")) and not folder.exists():
            self._named(entry)
        else:
            wrong = "is a file: name its folder" if folder.exists() else "does not exist: create it or correct it"
            self._report(entry, f"This entry of BLOTTER_STRATEGIES {wrong}. The working folder is {Path.cwd()}.")

    def entry_point(self, point: metadata.EntryPoint) -> None:
        """Load what an installed package offers: a module, or one workflow in it."""
        source = f"entry point {point.name} = {point.value}"
        try:
            offered = point.load()
        except (Exception, SystemExit) as error:
            self._report(source, _reason(error))
            return
        if isinstance(offered, ModuleType):
            self._module(offered, source)
        elif isinstance(offered, Workflow):
            if _path_of(sys.modules.get(point.module)) not in self.read:
                self._add([offered], source)
        else:
            self._report(source, f"It is a {type(offered).__name__}: let it name a module, or a Workflow in one.")

    def registry(self) -> Registry:
        """Return the outcome: at most one current workflow of an id, and retired ones that a hash tells apart."""
        current = [(workflow, source) for workflow, source in self.found if not workflow.retired]
        retired = [(workflow, source) for workflow, source in self.found if workflow.retired]
        return Registry(
            workflows={workflow.name: workflow for workflow in self._unique(current)},
            retired=tuple(self._distinct(retired)),
            broken=tuple(self.broken),
        )

    def _unique(self, current: Sequence[Found]) -> Iterator[Workflow]:
        """Yield the workflows whose id nobody else claims; of several with one id each is reported."""
        sources = _sources(current, lambda workflow: workflow.name)
        for workflow, source in current:
            claims = sources[workflow.name]
            if len(claims) == 1:
                yield workflow
                continue
            self._report(
                source,
                f"The id {workflow.name!r} is also claimed by {_others(claims, source)}. None of them runs: rename all "
                "but one, or say retired=True in the old definitions of a strategy that has changed.",
            )

    def _distinct(self, retired: Sequence[Found]) -> Iterator[Workflow]:
        """Yield the retired definitions to which a run can be pinned; those that are like another are reported."""
        sources = _sources(self.found, _pinned)
        for workflow, source in retired:
            claims = sources[_pinned(workflow)]
            if len(claims) == 1:
                yield workflow
                continue
            self._report(
                source,
                f"No run can tell this retired definition of {workflow.name!r} from that in {_others(claims, source)}: "
                "only code or words differ. It is not used. Keep one of them, and the runs go on with that.",
            )

    def _file(self, file: Path) -> None:
        if file.resolve() in self.read:
            return
        try:
            module = load_file(file)
        # A strategy is a stranger's code: whatever it does at import must not stop the others.
        except (Exception, SystemExit) as error:
            self._report(str(file), _reason(error))
        else:
            self._module(module, str(file))

    def _named(self, name: str) -> None:
        try:
            module = import_module(name)
        except (Exception, SystemExit) as error:
            missing = isinstance(error, ModuleNotFoundError) and error.name in (name, name.partition(".")[0])
            here = f"There is no folder and no module of this name. The working folder is {Path.cwd()}."
            self._report(name, here if missing else _reason(error))
        else:
            self._module(module, name)

    def _module(self, module: ModuleType, source: str) -> None:
        path = _path_of(module)
        if path is not None and path in self.read:
            return
        workflows = [value for value in vars(module).values() if isinstance(value, Workflow)]
        if not workflows:
            self._report(source, NO_WORKFLOW)
        self._add(workflows, source)
        if path is not None:
            self.read.add(path)

    def _add(self, workflows: Iterable[Workflow], source: str) -> None:
        for workflow in workflows:
            if any(known is workflow for known, _ in self.found):
                continue
            try:
                workflow.describe()
            except Exception as error:
                self._report(source, _reason(error))
            else:
                self.found.append((workflow, source))

    def _report(self, source: str, error: str) -> None:
        self.broken.append(BrokenStrategy(file=source, error=error))


def _pinned(workflow: Workflow) -> tuple[str, str]:
    """Return what a run remembers of its definition."""
    return workflow.name, workflow.definition_hash


def _sources(found: Iterable[Found], key: Callable[[Workflow], Key]) -> dict[Key, list[str]]:
    """Return the sources of workflows that are alike in `key`."""
    sources: dict[Key, list[str]] = defaultdict(list)
    for workflow, source in found:
        sources[key(workflow)].append(source)
    return sources


def _others(claims: Sequence[str], source: str) -> str:
    return ", ".join(other for other in claims if other != source) or "this file, once more"


_LIBRARIES = ("site-packages", "importlib")


def _path_of(module: ModuleType | None) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file else None


def _reason(error: BaseException) -> str:
    """Return the error in a line, with the place in the strategy's own code where it came from."""
    said = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {said}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_strategy(frame.filename)]
    return f"line {frames[-1].lineno}: {said}" if frames else said


def _is_strategy(filename: str) -> bool:
    """Tell whether a frame is outside of this package, the import machinery and installed libraries."""
    here = str(Path(__file__).parent)
    return not filename.startswith((here, "<frozen")) and not any(part in filename for part in _LIBRARIES)
