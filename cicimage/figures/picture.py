"""A finished figure with its title and texts, and its SVG."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from html import escape
from typing import Final
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure

from cicimage.figures.words import printable

_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "http://www.w3.org/1999/xlink"
_FONTS: Final = "'Helvetica Neue', Arial, 'Liberation Sans', 'Segoe UI', system-ui, sans-serif"
_FAMILY = re.compile(r"(font-family: |font:[^;]*?\d+(?:\.\d+)?px )[^;]+")
_URL = re.compile(r"url\(#([^)]+)\)")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure of the report, also shown by a notebook.

    Attributes
    ----------
    key : str
        Short name, unique on a page; letters, digits and hyphens.
    figure : matplotlib.figure.Figure
        The figure itself, to change or save.
    title : str
        What it shows.
    how_to_read : str
        One or two sentences for a first-time reader.
    alt : str
        Description in words, with the numbers.
    """

    key: str
    figure: Figure
    title: str
    how_to_read: str
    alt: str

    def svg(self) -> str:
        """The figure as inline SVG with role, label and page-unique ids; names in it are escaped."""
        root = ElementTree.fromstring(_raw_svg(self.figure))  # noqa: S314 - written by matplotlib a moment ago
        for child in [c for c in root if c.tag == f"{{{_SVG}}}metadata"]:
            root.remove(child)
        _tidy(root, self.key)
        width = root.attrib.pop("width", "")
        root.attrib.pop("height", None)
        root.set("style", f"width:100%;max-width:{width};height:auto")
        root.set("role", "img")
        root.set("aria-label", printable(f"{self.title}. {self.alt}"))
        ElementTree.register_namespace("", _SVG)
        ElementTree.register_namespace("xlink", _XLINK)
        return ElementTree.tostring(root, encoding="unicode")

    def _repr_html_(self) -> str:
        return (
            f"<figure style='margin:0'>{self.svg()}<figcaption><b>{escape(self.title)}</b> "
            f"{escape(self.how_to_read)}</figcaption></figure>"
        )


def _raw_svg(figure: Figure) -> str:
    """SVG as `savefig` writes it, without its first pass, which only measures the size."""
    buffer, dpi = io.StringIO(), figure.dpi
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cicimage"}), warnings.catch_warnings():
        # A name in Chinese is drawn by the browser's fonts; matplotlib only measures it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.set_dpi(72)
        width, height = figure.get_size_inches() * 72
        renderer = RendererSVG(width, height, buffer, image_dpi=72, metadata={"Date": None})  # type: ignore[no-untyped-call]
        figure.draw(renderer)
        renderer.finalize()  # type: ignore[no-untyped-call]
        figure.set_dpi(dpi)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _tidy(root: ElementTree.Element, key: str) -> None:
    """Make ids unique on the page, drop invisible digits, use the page's fonts.

    Ids are numbered anew: matplotlib's hash the last bit of a layout, which differs from run to run.
    """
    ids = [node.attrib["id"] for node in root.iter() if "id" in node.attrib]
    fresh = {old: f"{key}-{n}" for n, old in enumerate(dict.fromkeys(ids))}
    for node in root.iter():
        for name, value in list(node.attrib.items()):
            if name == "id":
                node.set(name, fresh[value])
            elif name == f"{{{_XLINK}}}href":
                node.set(name, "#" + fresh[value.removeprefix("#")])
            elif "url(#" in value:
                node.set(name, _URL.sub(lambda m: f"url(#{fresh[m[1]]})", value))
            elif name in ("d", "transform", "x", "y", "points", "width", "height"):
                node.set(name, _LONG_NUMBER.sub(_shortened, value))
            elif name == "style" and "font" in value:
                node.set(name, _FAMILY.sub(lambda m: m[1] + _FONTS, value))


def _shortened(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}"
