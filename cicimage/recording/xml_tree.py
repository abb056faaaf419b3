"""XML without document types: what microscopes write into files is parsed, what could name other files is not."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from cicimage.errors import RecordingError


class _RefusedError(Exception):
    pass


def parse_xml(text: str | bytes, name: str) -> Element:
    """Parse XML into a tree whose tags have lost their namespaces.

    Parameters
    ----------
    text : str or bytes
        The document.
    name : str
        File name for messages.

    Raises
    ------
    RecordingError
        It has a document type or entities, or is not well-formed.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")

    def start(tag: str, attributes: dict[str, str]) -> None:
        builder.start(_local(tag), {_local(k): v for k, v in attributes.items()})

    def refuse(*_: object) -> None:
        raise _RefusedError

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: builder.end(_local(tag))
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text, True)
        return builder.close()
    except _RefusedError:
        raise RecordingError(
            f"{name}: its XML has a document type (DTD); entities are refused because they can name other files: "
            "export the file again without one"
        ) from None
    except expat.ExpatError as error:
        raise RecordingError(f"{name}: its XML is not well-formed ({error}); export the file again") from None


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def children(element: Element, tag: str) -> Iterator[Element]:
    """Direct children of that tag.

    Parameters
    ----------
    element : Element
        Parent.
    tag : str
        Name without namespace.
    """
    return (e for e in element if e.tag == tag)
