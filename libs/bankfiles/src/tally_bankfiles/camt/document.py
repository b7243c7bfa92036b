"""Parsing bytes of unknown origin into an XML tree that can do no harm."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

from lxml import etree

from tally_bankfiles.camt.errors import StatementError

MAX_BYTES: Final = 32 * 1024 * 1024
"""Default bound of a file; a tree takes about ten times its file in memory."""

_BOM: Final = b"\xef\xbb\xbf"
_ENCODING: Final = re.compile(
    rb"<\?xml[^>]{0,100}?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']"
)
_ENCODINGS: Final = frozenset({"utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252"})


@dataclass(frozen=True, slots=True)
class Node:
    """An element and the namespace its message uses; paths are tags parted by `/`."""

    element: etree._Element
    namespace: str

    @property
    def line(self) -> int:
        return cast("int | None", self.element.sourceline) or 0

    @property
    def tag(self) -> str:
        return etree.QName(self.element).localname

    def child(self, path: str) -> "Node | None":
        found = self.element.find(_qualified(self.namespace, path))
        return None if found is None else Node(found, self.namespace)

    def children(self, path: str) -> Iterator["Node"]:
        for found in self.element.iterfind(_qualified(self.namespace, path)):
            yield Node(found, self.namespace)

    def text(self, path: str) -> str | None:
        """The text of the first element at the path without outer blanks; None where empty."""
        found = self.element.findtext(_qualified(self.namespace, path))
        return (found.strip() or None) if found is not None else None

    def texts(self, path: str) -> tuple[str, ...]:
        found = (child.own_text for child in self.children(path))
        return tuple(text for text in found if text)

    @property
    def own_text(self) -> str:
        return (self.element.text or "").strip()

    def need(self, path: str) -> "Node":
        """The element at the path; raises StatementError where it is missing or empty."""
        found = self.child(path)
        if found is None or not (found.own_text or len(found.element)):
            raise self.missing(path)
        return found

    def need_text(self, path: str) -> str:
        return self.need(path).own_text

    def missing(self, path: str) -> StatementError:
        return StatementError(
            "field_missing",
            line=self.line,
            field=f"{self.tag}/{path}",
            detail="the element is missing or empty",
            remedy="ask the bank for a complete statement",
        )

    def broken(self, detail: str, code: str = "field_format") -> StatementError:
        """An error at this element, for text that is not what the standard allows there."""
        parent = self.element.getparent()
        above = f"{etree.QName(parent).localname}/" if parent is not None else ""
        return StatementError(
            code,
            line=self.line,
            field=f"{above}{self.tag}",
            detail=detail,
            remedy="ask the bank for a corrected statement",
        )


@lru_cache(maxsize=1024)
def _qualified(namespace: str, path: str) -> str:
    return "/".join(f"{{{namespace}}}{tag}" for tag in path.split("/"))


def parse_document(data: bytes, *, max_bytes: int = MAX_BYTES) -> Node:
    """The root element of a document.

    Refuses, as StatementError, what is too large, nested deeper than 256 elements, not well
    formed, in an encoding other than UTF-8 or single-byte Latin, or has a document type: without
    one there are no entities, and nothing is ever fetched.
    """
    if len(data) > max_bytes:
        raise _refused(
            "too_large",
            f"{len(data)} bytes, at most {max_bytes} are read",
            "ask the bank for smaller files or raise the bound",
        )
    text = data.removeprefix(_BOM).lstrip(b" \t\r\n")
    declared = _ENCODING.match(text)
    encoding = declared.group(1).decode("ascii").lower() if declared else "utf-8"
    if not text.startswith(b"<") or b"\x00" in data or encoding not in _ENCODINGS:
        raise _refused("xml_encoding", "no XML in UTF-8 or Latin", "send UTF-8 XML")
    if b"<!DOCTYPE" in data:
        raise _refused("xml_doctype", "a document type is declared", "send XML without DOCTYPE")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, LookupError) as error:  # LookupError: an encoding libxml2 lacks
        line = getattr(error, "lineno", 0) or 0
        raise _refused("xml_malformed", str(error), "send well-formed XML", line=line) from error
    assert root.getroottree().docinfo.internalDTD is None, "a document type was refused above"
    return Node(root, etree.QName(root).namespace or "")


def _refused(code: str, detail: str, remedy: str, line: int = 0) -> StatementError:
    return StatementError(code, line=line, field="Document", detail=detail, remedy=remedy)
