"""Python files in a folder as modules, without the folder being installed or on `sys.path`."""

import sys
from collections.abc import Iterable
from hashlib import sha256
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType


def strategy_files(folder: Path) -> Iterable[Path]:
    """Return the `.py` files of a folder, by name, without those that begin with an underscore."""
    return sorted(file for file in folder.glob("*.py") if not file.name.startswith("_"))


def load_file(file: Path) -> ModuleType:
    """Run `file` as a module and return it; whatever it raises comes out, and leaves no half-made module behind.

    Its name derives from the folder's path and is the same in every process, so that its classes can be pickled. The
    folder is a package of its own: `from ._indicators import sma` finds the neighbour `_indicators.py`.
    """
    name = f"{_package(file.parent)}.{file.stem.replace('.', '_')}"
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not Python")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _package(folder: Path) -> str:
    """Return the name of the package that stands for a folder, and make it if it is new."""
    path = str(folder.resolve())
    name = f"blotter_strategies_{sha256(path.encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [path]
        sys.modules[name] = module_from_spec(spec)
    return name
