"""Where model files are found: packages registered in the entry-point group `bench.models`, and files given by path.

An entry point names a package whose files are models (`baselines = "baselines"`), or one module that is a model.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from bench import digest, plugins
from bench.errors import BadInput, BenchError, ContractBroken, Unavailable, UnknownName, exception_text
from bench.paths import expanded
from bench.types import ModelCard

GROUP = "bench.models"


@dataclass(frozen=True)
class ModelFile:
    """One model's file. `module` is the name under which it is imported (`baselines.telea`)."""

    id: str
    file: Path
    module: str

    @property
    def foreign(self) -> bool:
        """Whether it comes from elsewhere: a path, or another distribution than this one."""
        return self.module.partition(".")[0] not in _own_packages()


@functools.cache
def _own_packages() -> frozenset[str]:
    entries = importlib.metadata.entry_points(group=GROUP)
    return frozenset(one.value for one in entries if one.dist and one.dist.name == "inpainting-bench")


@functools.cache
def members() -> dict[str, ModelFile]:
    """Model id -> file, over all installed packages; nothing is imported. Two files of one name raise `BadInput`."""
    found: dict[str, ModelFile] = {}
    for package in sorted({entry.value for entry in importlib.metadata.entry_points(group=GROUP)}):
        for member in _of_package(package):
            if member.id in found:
                raise BadInput(f"Two model files are called '{member.id}': {found[member.id].file} and {member.file}.")
            found[member.id] = member
    return dict(sorted(found.items()))


def _of_package(package: str) -> Iterator[ModelFile]:
    try:
        spec = importlib.util.find_spec(package)
    except ImportError:
        spec = None
    if spec is None:
        raise BadInput(f"The installed plug-in '{package}' ({GROUP}) cannot be found: reinstall or remove it.")
    for folder in spec.submodule_search_locations or ():
        for name, path in _files(Path(folder)):
            yield ModelFile(name, path, f"{package}.{name}")
    if not spec.submodule_search_locations and spec.origin:
        yield ModelFile(package.rpartition(".")[2], Path(spec.origin), package)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.glob("*.py")):
        if not path.stem.startswith("_") and card_in(path):
            yield path.stem, path


@functools.cache
def card_in(path: Path) -> ModelCard | None:
    """The card in a model's file, None if it holds none; a file that Python cannot read raises `BadInput`."""
    try:
        card = plugins.cards(path).get(path.stem)
    except SyntaxError as fault:
        raise BadInput(f"{path}:{fault.lineno}: the model's file is not valid Python: {fault.msg}.") from fault
    except (OSError, UnicodeDecodeError) as fault:
        raise BadInput(f"{path} cannot be read: {fault}.") from fault
    return card if isinstance(card, ModelCard) else None


def classes(path: Path) -> list[str]:
    """Names that a file gives to classes and functions; none where it may bring others (another file's, made ones)."""
    tree = ast.parse(path.read_text(encoding="utf-8")).body
    plain = (ast.ClassDef, ast.FunctionDef, ast.Expr, ast.Import, ast.ImportFrom)
    if any(not isinstance(node, plain) for node in tree):
        return []
    imported = [alias for node in tree if isinstance(node, ast.ImportFrom) for alias in node.names]
    if any(alias.name == "*" for alias in imported):
        return []
    made = [node.name for node in tree if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return made + [alias.asname or alias.name for alias in imported]


def by_path(path: Path) -> ModelFile:
    """A model's file that is not registered; its id is the file's name with suffix (`mine.py`)."""
    path = expanded(path).resolve()
    if not path.is_file():
        raise BadInput(f"{path} does not exist: a model's file is named as path/to/file.py or path/to/file.py:Class.")
    return ModelFile(path.name, path, f"bench_plugin_{path.stem}_{digest.of_file(path)[:12]}")


def load(member: ModelFile) -> ModuleType:
    """Import a model's file. A library that is missing raises `Unavailable`, a fault in the file `ContractBroken`."""
    try:
        if not member.module.startswith("bench_plugin_"):
            return importlib.import_module(member.module)
        if str(member.file.parent) not in sys.path:
            sys.path.append(str(member.file.parent))
        return plugins.load(member.file, member.module)
    except BenchError:
        raise
    except ImportError as fault:
        raise Unavailable(f"Model '{member.id}' needs a library that cannot be loaded here: {fault}.") from fault
    except SyntaxError as fault:
        raise BadInput(f"{member.file}:{fault.lineno}: the model's file is not valid Python: {fault.msg}.") from fault
    except Exception as fault:
        raise ContractBroken(f"{member.file} fails when it is imported: {exception_text(fault)}") from fault


def build(member: ModelFile, variant: str = "", attribute: str = "model", **settings: Any) -> Any:
    """A model without weights: `model(variant, **settings)` of its file, or `Class(**settings)`.

    The variant is one of the card's, the first of them where none is named; another raises `UnknownName`.
    """
    if attribute == "model":
        variant = form(member, variant)
    module = load(member)
    maker = getattr(module, attribute, None)
    if maker is None:
        near = [name for name in dir(module) if hasattr(getattr(module, name), "predict")]
        hint = f" It holds: {', '.join(near)}." if near else ""
        raise BadInput(f"{member.file} has no '{attribute}'.{hint}")
    if not callable(maker):
        raise BadInput(f"{member.file}: {attribute} is a {type(maker).__name__}, not a class: name the model's class.")
    if attribute != "model" and (asked := _asked(maker, settings)):
        raise ContractBroken(
            f"{member.file}: {attribute}() asks for {', '.join(asked)}: what is named must be made without arguments. "
            f"Write a class with predict(self, images, masks), or a function that makes one."
        )
    try:
        return maker(variant, **settings) if attribute == "model" else maker(**settings)
    except BenchError:
        raise
    except ImportError as fault:
        raise Unavailable(f"Model '{member.id}' needs a library that cannot be loaded here: {fault}.") from fault
    except Exception as fault:
        given = ", ".join(f"{key}={value!r}" for key, value in settings.items())
        what = f"{attribute}({', '.join(filter(None, [repr(variant) if attribute == 'model' else '', given]))})"
        raise ContractBroken(f"{member.file}: {what} fails: {exception_text(fault)}") from fault


def _asked(maker: Callable[..., Any], settings: Mapping[str, Any]) -> list[str]:
    """Arguments without which a model cannot be made; none where Python cannot tell."""
    try:
        found = inspect.signature(maker).parameters
    except (TypeError, ValueError):
        return []
    needed = [name for name, one in found.items() if one.default is one.empty and one.kind not in (2, 4)]
    return [name for name in needed if name not in settings]


def form(member: ModelFile, variant: str) -> str:
    """The variant that a name stands for: one of the card's, the first of them where none is named; "" without any."""
    card = card_in(member.file)
    known = card.variants if card else {}
    if variant and variant not in known:
        raise UnknownName(f"variant of {member.id}", [variant], known, f"bench models show {member.id}")
    return variant or next(iter(known), "")


def fingerprint(member: ModelFile) -> dict[str, Any]:
    """What decides a model's numbers beside its weights: digests of its sources and versions of its libraries.

    Sources are the model's file, what it imports from its own package, and `bench.models`; torch and NumPy are left
    to the run's record.
    """
    sources: dict[str, Path] = {}
    libraries: dict[str, str] = {}
    todo = [(member.module, member.file)]
    while todo:
        name, file = todo.pop()
        if name in sources:
            continue
        sources[name] = file
        for imported in _imports(name, file):
            if near := _own_source(member, imported):
                todo.append((imported, near))
            elif version := _library(imported.partition(".")[0]):
                libraries.update(version)
    shown = {name if name != member.module else member.id: digest.of_file(file) for name, file in sources.items()}
    return {"sources": shown, "libraries": libraries}


def _imports(name: str, file: Path) -> Iterator[str]:
    """Full names of all that a file imports, also inside functions; of `from a import b` both `a` and `a.b`."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(dots, package) if node.level and package else (node.module or "")
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


def _own_source(member: ModelFile, imported: str) -> Path | None:
    """The file of a module of the model's own package, of `bench.models`, or beside a file given by path."""
    depth = member.module.count(".")
    if member.module.startswith("bench_plugin_"):
        folder, inner = member.file.parent, imported.split(".")
    elif depth and imported.partition(".")[0] == member.module.partition(".")[0]:
        folder, inner = member.file.parents[depth - 1], imported.split(".")[1:]
    elif imported.startswith("bench.models."):
        folder, inner = Path(__file__).parent, imported.split(".")[2:]
    else:
        return None
    path = folder.joinpath(*inner)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if inner and file.is_file()), None)


@functools.cache
def _library(package: str) -> dict[str, str]:
    if package in sys.stdlib_module_names or package in ("", "bench", "torch", "numpy"):
        return {}
    return {name: importlib.metadata.version(name) for name in sorted(_distributions().get(package, ()))}


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return {package: sorted(set(names)) for package, names in importlib.metadata.packages_distributions().items()}
