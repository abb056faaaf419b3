"""What docstrings, comments and documents name exists: modules, functions, columns, files.

A reference is a dotted name of ours in backquotes, a role such as ``:func:`name```, a path below the repository, or a
name with an underscore in double backquotes, which the code must then spell somewhere outside of documentation.
"""

import ast
import importlib
import io
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|exc):`~?([\w.]+)`")
DOTTED = re.compile(r"`(cicimage(?:_napari)?(?:\.\w+)+)(?::(\w+))?(?:\(\))?`|\"(cicimage(?:\.\w+)+):(\w+)\"")
PATH = re.compile(
    r"\b((?:cicimage|tests|benchmarks|docs|plugins|sample_data)/[\w./-]+\.(?:py|md|toml|csv|json|html|yaml))\b"
)
WORD = re.compile(r"``([a-z]\w*(?:_\w+|\.[a-z]\w*)+)(?:\(\))?``")
FILES = (".parquet", ".json", ".jsonl", ".toml", ".csv", ".npz", ".html", ".py", ".md")
MADE = ("benchmarks/work/",)
"""Below these lies what programs write."""


def sources(*folders):
    return [p for folder in folders for p in sorted((ROOT / folder).rglob("*.py"))]


def documents():
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def resolves(dotted):
    """Whether a dotted name leads to a module, or to something within one."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError as error:
            if error.name and not ".".join(parts[:cut]).startswith(error.name):
                return True  # of a package that is not installed here
            continue
        for part in parts[cut:]:
            fields = {*getattr(found, "model_fields", ()), *getattr(found, "__annotations__", ())}
            if not hasattr(found, part):
                return part in fields
            found = getattr(found, part)
        return True
    return False


def names_in(path):
    """Names a module's roles may mean without its package: its own, and those of its classes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    found |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    found |= {
        a.asname or a.name.split(".")[-1]
        for n in ast.walk(tree)
        if isinstance(n, (ast.Import, ast.ImportFrom))
        for a in n.names
    }
    found |= {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    return found


def missing(text, own):
    """References of a text that lead nowhere."""
    named = [a + (f".{b}" if b else "") or f"{c}.{d}" for a, b, c, d in DOTTED.findall(text)]
    named += [r for r in ROLE.findall(text) if r.startswith("cicimage")]
    bad = [n for n in named if not n.endswith(FILES) and not resolves(n)]
    bad += [r for r in ROLE.findall(text) if "." not in r and r not in own]
    bad += [w for w in WORD.findall(text) if not w.endswith(FILES) and not spelled(w)]
    return bad + [p for p in PATH.findall(text) if not (ROOT / p).exists() and not p.startswith(MADE)]


@cache
def vocabulary():
    """Words that the code spells: names, and words of texts that are no documentation."""
    words = set()
    for path in [*sources("cicimage", "plugins", "benchmarks"), *(ROOT / "plugins").rglob("*.yaml")]:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".py":
            words |= set(re.findall(r"\w+", text))
            continue
        tree = ast.parse(text)
        bare = {n.value.lineno for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type != tokenize.COMMENT and not (token.type == tokenize.STRING and token.start[0] in bare):
                words |= set(re.findall(r"\w+", token.string))
    return words


def spelled(word):
    """Whether the code spells all parts of a name."""
    return all(part in vocabulary() for part in word.split("."))


@pytest.mark.parametrize("folder", ["cicimage", "plugins", "benchmarks", "docs"])
def test_every_reference_leads_somewhere(folder):
    found = {}
    for path in documents() if folder == "docs" else sources(folder):
        own = set() if path.suffix == ".md" else names_in(path)
        if bad := missing(path.read_text(encoding="utf-8"), own):
            found[path.relative_to(ROOT).as_posix()] = bad
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "see :func:`cicimage.store.lock`", "``segment.log = \"cicimage.segmentation.log_guests:LogGuestSegmenter\"``",
        "`cicimage.events.uncertain.draw`", ":meth:`trakc` returns", "in tests/house/test_nothing.py",
        ":class:`~cicimage.methods.Segmenter`", "column ``layer_misfit``", "``stagez.track`` returns",
    ],
)  # fmt: skip
def test_a_reference_that_leads_nowhere_is_found(text):
    assert missing(text, {"track"})
