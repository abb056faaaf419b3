"""The readers that are installed, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from cicimage.errors import ConfigurationError, RecordingError
from cicimage.recording.checked_recording import CheckedRecording, named_faults
from cicimage.recording.foreign import brief
from cicimage.recording.reader import ENTRY_POINT_GROUP, HEAD_BYTES, Listing, Reader, ReadOptions
from cicimage.recording.recording import Recording
from cicimage.regular import require_regular

OWN_PACKAGE: Final = "cicimage"
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class InstalledReader:
    """A reader with the package that brings it; faults of other packages' readers are named.

    Attributes
    ----------
    reader : Reader
        The reader itself.
    package : str
        Distribution that brings it.
    """

    reader: Reader
    package: str

    @property
    def source(self) -> str:
        """Reader and package, for messages."""
        return f"reader {self.reader.name!r} of package {self.package}"

    @property
    def own(self) -> bool:
        """Whether it is a built-in one: whatever it raises is a fault of the file, or of the program."""
        return self.package == OWN_PACKAGE

    def recognises(self, listing: Listing, head: bytes) -> bool:
        """Whether a path is of its format.

        Parameters
        ----------
        listing : Listing
            The path and the names in it.
        head : bytes
            First bytes of a file, empty for folders.

        Raises
        ------
        RecordingError
            A reader of another package failed.
        """
        return self._ask(bool, listing.path, "recognises", listing, head)

    def parts(self, listing: Listing) -> frozenset[str]:
        """Files of a folder that belong to another file in it.

        Raises
        ------
        RecordingError
            A reader of another package failed.
        """
        return self._ask(frozenset, listing.path, "parts", listing)

    def series(self, path: Path) -> tuple[str, ...]:
        """Names of the recordings within a path.

        Raises
        ------
        RecordingError
            The file is not sound, or a reader of another package failed.
        """
        names = self._ask(_texts, path, "series", path)
        if not self.own and not (names and all(isinstance(n, str) for n in names)):
            raise RecordingError(
                f"{path.name}: {self.source} returned wrong series: must be one name or more, got {names!r}; report it "
                "to the authors of the package, or uninstall it"
            )
        return names

    def files(self, path: Path, series: int) -> tuple[Path, ...]:
        """Files and folders that one recording is read from.

        Parameters
        ----------
        path : Path
            File, folder, or name with placeholders.
        series : int
            Which of its recordings, 0-based.

        Raises
        ------
        RecordingError
            What names the files is not sound, there is no such series, or a reader of another package failed.
        """
        try:
            return self._ask(_paths, path, "files", path, series)
        except IndexError:
            raise RecordingError(f"{path.name}: has no series {series}; choose one that it has") from None

    def open(self, path: Path, options: ReadOptions) -> Recording:
        """Open one recording; of a reader of another package, with its shapes checked.

        Parameters
        ----------
        path : Path
            File, folder, or name with placeholders.
        options : ReadOptions
            What of it is read.

        Raises
        ------
        RecordingError
            The file is not sound, or a reader of another package failed or returned a wrong recording.
        """
        with named_faults(path, self.source, "open", own=self.own):
            opened: Any = self.reader.open(path, options)
        if self.own:
            return cast(Recording, opened)
        return CheckedRecording(path, opened, self.source, options.memory_budget_bytes)

    def _ask(self, kind: Callable[[Any], Answer], path: Path, verb: str, *arguments: object) -> Answer:
        """Call the reader and convert what it returns, which may run more of its code."""
        with named_faults(path, self.source, verb, own=self.own):
            return kind(getattr(self.reader, verb)(*arguments))


def _texts(found: Any) -> tuple[str, ...]:
    return tuple(found)


def _paths(found: Any) -> tuple[Path, ...]:
    return tuple(Path(file) for file in found)


@dataclass(frozen=True)
class _Registry:
    readers: tuple[InstalledReader, ...]
    broken: tuple[str, ...]


def installed_readers() -> tuple[InstalledReader, ...]:
    """Readers in the order in which they are asked.

    Raises
    ------
    ConfigurationError
        The built-in ones are missing: the installation is not whole.
    """
    return _registry().readers


def preload_own_readers() -> None:
    """Load the built-in readers' modules and no other package's: theirs may start threads or fail to load."""
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if _package(entry) == OWN_PACKAGE:
            entry.load()


def broken_readers() -> tuple[str, ...]:
    """One sentence for each reader of another package that cannot be loaded."""
    return _registry().broken


@cache
def _registry() -> _Registry:
    found, broken = list[InstalledReader](), list[str]()
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        package = _package(entry)
        if package == OWN_PACKAGE:
            found.append(InstalledReader(entry.load()(), package))
            continue
        try:
            found.append(InstalledReader(_load(entry), package))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the code of others may raise anything
            broken.append(
                f"reader {entry.name!r} of package {package} cannot be loaded ({brief(error)}); report it to the "
                "authors of the package, or uninstall it"
            )
    if not any(r.own for r in found):
        raise ConfigurationError("the readers of cicimage itself are not registered; install cicimage again")
    found.sort(key=lambda r: (r.reader.order, not r.own, r.package, r.reader.name))
    return _Registry(tuple(found), tuple(broken))


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value.partition(":")[0]


def _load(entry: EntryPoint) -> Reader:
    """Load and describe a reader of another package.

    Raises
    ------
    TypeError
        It is not what the contract says.
    """
    cls = entry.load()
    if not (isinstance(cls, type) and issubclass(cls, Reader)):
        raise TypeError(f"{entry.value} must subclass Reader")
    reader: Reader = cls()
    if not (isinstance(reader.name, str) and reader.name and isinstance(reader.order, int)):
        raise TypeError(f"name must be a text and order a whole number, got {reader.name!r} and {reader.order!r}")
    for field in ("suffixes", "folder_suffixes", "templates"):
        texts = getattr(reader, field)
        if not isinstance(texts, tuple) or not all(isinstance(e, str) for e in texts):
            raise TypeError(f"{field} must be a tuple of texts, got {texts!r}")
    for ending in (*reader.suffixes, *reader.folder_suffixes):
        if not ending.startswith(".") or len(ending) < 2 or ending != ending.lower():
            raise TypeError(f"endings must be such as '.tif', in lower case, got {ending!r}")
    reader.installed()
    return reader


def reader_of(listing: Listing, head: bytes) -> InstalledReader | None:
    """The first reader that recognises a path.

    Parameters
    ----------
    listing : Listing
        The path and the names in it.
    head : bytes
        First bytes of a file, empty for folders.

    Raises
    ------
    RecordingError
        A reader of another package failed while it looked.
    """
    readers = installed_readers()
    name = listing.path.name.lower()
    claimed = any(name.endswith(r.reader.suffixes) for r in readers if not r.reader.fallback)
    return next((r for r in readers if not (r.reader.fallback and claimed) and r.recognises(listing, head)), None)


def read_head(path: Path) -> bytes:
    """First bytes of a file, as readers see them.

    Raises
    ------
    RecordingError
        The file is not a regular one, cannot be opened, or is empty.
    """
    require_regular(path, RecordingError)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise RecordingError(f"{path.name}: cannot be opened ({error.strerror}); check the path") from None
    if not head:
        raise RecordingError(f"{path.name}: empty (0 bytes); copy the file again from the microscope")
    return head


def file_suffixes(*, installed: bool = True) -> tuple[str, ...]:
    """Endings of files that readers take up, in the readers' order.

    Parameters
    ----------
    installed : bool
        Those of readers whose libraries are installed; otherwise those of the others.
    """
    return _once(s for r in installed_readers() if r.reader.installed() == installed for s in r.reader.suffixes)


def folder_suffixes() -> tuple[str, ...]:
    """Endings of folders that readers take up."""
    return _once(s for r in installed_readers() for s in r.reader.folder_suffixes)


def name_templates() -> tuple[str, ...]:
    """File-name patterns of microscopes that write one plane a file."""
    return _once(t for r in installed_readers() for t in r.reader.templates)


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
