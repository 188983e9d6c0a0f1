"""XML from strangers: no DOCTYPE, no entities, nothing fetched, bounded size and depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import UserError
from workbench.text import clean_line

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_DEPTH = 200


def parse(text: str) -> Element:
    """The root element. Raises UserError for anything that is not plain well-formed XML."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser, ParseError

    # Whatever the file declares its encoding to be: the text is decoded already.
    parser = DefusedXMLParser(forbid_dtd=True, encoding="utf-8")
    try:
        parser.feed(text.encode("utf-8", "replace"))
        root: Element = parser.close()
    except ParseError as error:
        line, column = error.position
        raise UserError(f"line {line}, column {column + 1}: not valid XML: {clean_line(str(error), 100)}") from None
    except DefusedXmlException:
        raise UserError("the file declares a DOCTYPE or entities, which are not read; remove the declaration") from None
    level, depth = [root], 0
    while level:
        level, depth = [child for element in level for child in element], depth + 1
        if depth > MAX_DEPTH:
            raise UserError(f"the XML is nested more than {MAX_DEPTH} deep")
    return root


def local(element: Element) -> str:
    """The tag without its namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
