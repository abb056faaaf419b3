"""The contract of a reader: what it recognises by names and first bytes, and how it opens a recording.

A reader subclasses :class:`Reader` and is found by an entry point in the group :data:`ENTRY_POINT_GROUP`, e.g.
``nd2 = "cicimage.recording.nd2_recording:Nd2Reader"``. The rest of the program knows readers and no format by name.

The contract has two halves. :meth:`Reader.recognises` and :meth:`Reader.parts` see names and the first bytes of a
file and open nothing, so a folder of thousands of files is listed without running a decoder. :meth:`Reader.series`,
:meth:`Reader.files` and :meth:`Reader.open` open files; a caller may run them in a process of its own.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self

from cicimage.recording.recording import DEFAULT_BUDGET_BYTES, Recording

ENTRY_POINT_GROUP: Final = "cicimage.readers"
HEAD_BYTES: Final = 4096
"""First bytes of a file that :meth:`Reader.recognises` sees."""


@dataclass(frozen=True)
class Listing:
    """A path and the names in it, nothing opened.

    Attributes
    ----------
    path : Path
        A file, a folder, or a file name with placeholders that stands for many files.
    is_folder : bool
        Whether it is a folder.
    exists : bool
        Whether it is there; a name with placeholders is not.
    files, folders : tuple of str
        Names in a folder; empty for a file.
    """

    path: Path
    is_folder: bool = False
    exists: bool = True
    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path) -> Self:
        """List a path; a folder that may not be listed is shown as empty."""
        if not path.is_dir():
            return cls(path, exists=path.exists())
        files, folders = list[str](), list[str]()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    (folders if entry.is_dir() else files).append(entry.name)
        except OSError:
            return cls(path, is_folder=True)
        return cls(path, True, True, tuple(sorted(files)), tuple(sorted(folders)))

    def below(self, folder: str) -> Listing:
        """List one of its folders."""
        return Listing.of(self.path / folder)


@dataclass(frozen=True)
class ReadOptions:
    """What of a path is read, and within which limits.

    Attributes
    ----------
    axes : str or None
        Order of planes where the file does not say, e.g. ``"TCYX"``; ``"!"`` behind it overrules the file.
    series : int or None
        Which recording of the path, 0-based; None where none was chosen.
    memory_budget_bytes : int
        Most bytes that one plane may need.
    given : collection of str
        Fields of :class:`~cicimage.recording.Metadata` that the experiment file supplies: a bad value of the file
        is then noted in ``metadata.notes`` and not refused.
    """

    axes: str | None = None
    series: int | None = None
    memory_budget_bytes: int = DEFAULT_BUDGET_BYTES
    given: Collection[str] = ()


class Reader(ABC):
    """Reads one format. A subclass sets the class attributes and takes no arguments.

    Attributes
    ----------
    name : str
        Name of the format for people, e.g. ``"ND2"``.
    order : int
        Readers are asked in ascending order, and the first that recognises a path reads it. The built-in ones have 10
        (file names) to 90 (ImageXpress) and 900 (bioio, the last); a reader of another package comes between them
        unless it sets a lower number.
    suffixes, folder_suffixes : tuple of str
        Endings of files, and of folders, that a search for recordings takes up; lower case, with the dot.
    fallback : bool
        Whether it is asked only for files whose ending no other reader takes up: a damaged file with such an ending is
        then refused by the format's own reader.
    exports : bool
        Whether a folder is a recording wherever :meth:`recognises` says so, whatever the folder's name: the export of
        a plate. Its files are then not taken up by themselves.
    templates : tuple of str
        File-name patterns that `cicimage init` tries for files of one plane each.
    axes_overrule : bool
        Whether ``axes`` with ``"!"`` goes before what the recording says; where it does not, such axes are refused.
    """

    name: ClassVar[str] = ""
    order: ClassVar[int] = 500
    suffixes: ClassVar[tuple[str, ...]] = ()
    folder_suffixes: ClassVar[tuple[str, ...]] = ()
    fallback: ClassVar[bool] = False
    exports: ClassVar[bool] = False
    templates: ClassVar[tuple[str, ...]] = ()
    axes_overrule: ClassVar[bool] = True

    def installed(self) -> bool:
        """Whether what it needs is installed; without it, its files are named as not read."""
        return True

    @abstractmethod
    def recognises(self, listing: Listing, head: bytes) -> bool:
        """Whether a path is of this format, judged by names and first bytes alone.

        Parameters
        ----------
        listing : Listing
            The path; of a folder the names in it.
        head : bytes
            Up to :data:`HEAD_BYTES` first bytes of a file; empty for folders and for names with placeholders.
        """

    def parts(self, listing: Listing) -> Collection[str]:
        """Files of a folder that belong to another file in it, and are no recordings by themselves."""
        return ()

    def series(self, path: Path) -> tuple[str, ...]:
        """Names of the recordings within a path, in the order of ``series``; by default one, of the path's name.

        A field of a plate's well is named ``B/2/1``, ``B02/1`` or ``r02c02/1``; its position is then ``B02_f1``.

        Raises
        ------
        RecordingError
            The file is not sound.
        """
        return (path.name,)

    def files(self, path: Path, series: int) -> tuple[Path, ...]:
        """Files and folders that one recording is read from, the one that names the others first.

        They tell whether a recording changed since its results were made.

        Parameters
        ----------
        path : Path
            File, folder, or name with placeholders.
        series : int
            Which of its recordings, 0-based.

        Raises
        ------
        RecordingError
            What names the files is not sound.
        IndexError
            There is no such series.
        """
        return (path,)

    @abstractmethod
    def open(self, path: Path, options: ReadOptions) -> Recording:
        """Open one recording; no plane is decoded yet.

        Parameters
        ----------
        path : Path
            File, folder, or name with placeholders.
        options : ReadOptions
            What of it is read.

        Raises
        ------
        RecordingError
            The file is not sound, what it declares is not what it holds, or it holds several recordings and none was
            chosen.
        """
