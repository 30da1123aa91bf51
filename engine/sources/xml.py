"""XML of label files: no entity is expanded, and nothing outside of a file is looked up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring, iterparse


def parse_xml(data: bytes) -> Element:
    """The root of a small file. Raises `ValueError` where it is no XML, or defines entities of its own."""
    try:
        root: Element = fromstring(data)
    except (ParseError, DefusedXmlException, LookupError) as error:
        raise ValueError(f"not XML that can be read: {error}") from error
    return root


def elements_of(stream: IO[bytes], tag: str) -> Iterator[Element]:
    """Elements of one name in a file of any size, each to be used before the next one is asked for.

    The first that comes is the file's root, without what is in it. Raises `ValueError` as `parse_xml` does.
    """
    try:
        root: Element | None = None
        for event, element in iterparse(stream, events=("start", "end")):
            if root is None:
                root = element
                yield root
            elif event == "end" and element.tag == tag:
                yield element
                root.clear()
    except (ParseError, DefusedXmlException, LookupError) as error:
        raise ValueError(f"not XML that can be read: {error}") from error


def text_of(element: Element, path: str) -> str:
    """The text at a path, stripped; empty where there is none."""
    return (element.findtext(path) or "").strip()
