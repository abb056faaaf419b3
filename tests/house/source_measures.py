"""Measures of the source code: lines of code, import circles, missing parameter sections."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[2]
PACKAGES = {"cicimage": ROOT / "cicimage", "cicimage_napari": ROOT / "plugins" / "cicimage_napari"}


def sources() -> Iterator[tuple[str, Path]]:
    """Dotted name and path of every module of the core and the plugin."""
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *(p for p in parts if p != "__init__")))
            yield name, path


def code_lines(text: str) -> int:
    """Lines that hold code: no blank lines, comments, docstrings or imports."""
    tree = ast.parse(text)
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            left_out |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        body = getattr(node, "body", None)
        if isinstance(body, list):
            for statement in body:
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    value = statement.value
                    if isinstance(value.value, str):
                        left_out |= set(range(value.lineno, (value.end_lineno or value.lineno) + 1))
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in layout:
            held |= set(range(token.start[0], token.end[0] + 1))
    return len(held - left_out)


def imports_of(name: str, path: Path, known: set[str]) -> set[str]:
    """Modules of this project that a module imports anywhere, for types alone too."""
    found: set[str] = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in known else base)
    return {module for module in found if module in known and module != name}


def import_circles() -> list[list[str]]:
    """Groups of modules that import each other, directly or through others (strongly connected components)."""
    modules = dict(sources())
    names = sorted(modules)
    imports = np.zeros((len(names), len(names)), bool)
    for row, name in enumerate(names):
        for target in imports_of(name, modules[name], set(names)):
            imports[row, names.index(target)] = True
    count, group = connected_components(csr_matrix(imports), directed=True, connection="strong")
    groups = [[name for name, g in zip(names, group, strict=True) if g == n] for n in range(count)]
    return sorted(members for members in groups if len(members) > 1)


def functions(tree: ast.AST) -> Iterator[tuple[ast.FunctionDef, bool]]:
    """Every function with whether it is public: neither it nor what it stands in has a leading underscore."""

    def inside(node: ast.AST, public: bool) -> Iterator[tuple[ast.FunctionDef, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef):
                yield child, public and not child.name.startswith("_")
                yield from inside(child, False)
            elif isinstance(child, ast.ClassDef):
                yield from inside(child, public and not child.name.startswith("_"))
            else:
                yield from inside(child, public)

    return inside(tree, True)


def classes() -> dict[str, list[ast.ClassDef]]:
    """Classes of the project by name."""
    found: dict[str, list[ast.ClassDef]] = {}
    for _, path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(node)
    return found


def inherited_docstrings(owner: ast.ClassDef, method: str, known: dict[str, list[ast.ClassDef]]) -> Iterator[str]:
    """Docstrings of a method in the classes of the project that a class derives from."""
    for base in owner.bases:
        name = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
        for parent in known.get(name, []):
            for child in parent.body:
                if isinstance(child, ast.FunctionDef) and child.name == method:
                    yield ast.get_docstring(child) or ""
            yield from inherited_docstrings(parent, method, known)


def is_overload(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function states one of several signatures of the function below it, which has the documentation."""
    return any(isinstance(d, ast.Name) and d.id == "overload" for d in function.decorator_list)


def parameters_undocumented() -> list[str]:
    """Public functions with two or more parameters (self not counted) and no Parameters section.

    A method that overrides one of a class of this project inherits the section: the contract stands in one place.
    """
    found, known = [], classes()
    for name, path in sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        owners = {id(child): node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for child in node.body}
        for function, public in functions(tree):
            arguments = function.args
            named = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
            if not public or len([a for a in named if a not in {"self", "cls"}]) < 2 or is_overload(function):
                continue
            texts = [ast.get_docstring(function) or ""]
            if id(function) in owners:
                texts += inherited_docstrings(owners[id(function)], function.name, known)
            if not any("Parameters\n---" in text for text in texts):
                found.append(f"{name}.{function.name}")
    return found


def long_functions_without_docstring(most_lines: int) -> list[str]:
    """Functions over a number of lines that say nothing of themselves."""
    return [
        f"{name}.{function.name}"
        for name, path in sources()
        for function, _ in functions(ast.parse(path.read_text(encoding="utf-8")))
        if (function.end_lineno or 0) - function.lineno + 1 > most_lines and not ast.get_docstring(function)
    ]
