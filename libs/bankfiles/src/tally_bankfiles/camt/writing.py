"""Elements of a message being written: in order, within the lengths of the schemas."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from lxml import etree

from tally_bankfiles.camt.errors import StatementError
from tally_money import Money

_LENGTHS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "UETR": 36,
        "Nm": 140,
        "Ustrd": 140,
        "AddtlRmtInf": 140,
        "AddtlTxInf": 500,
        "AddtlNtryInf": 500,
    }
)
_LENGTH: Final = 35


@dataclass(frozen=True, slots=True)
class Branch:
    """An element under construction; children are appended in the order of the calls.

    `version` is the message version, which decides where some things stand.
    """

    element: etree._Element
    version: int

    def branch(self, tag: str) -> "Branch":
        namespace = etree.QName(self.element).namespace
        return Branch(etree.SubElement(self.element, f"{{{namespace}}}{tag}"), self.version)

    def leaf(self, path: str, text: str | None) -> "Branch | None":
        """Write text at a path of tags; nothing where the text is None.

        Raises StatementError for text that is empty, too long or not allowed in XML.
        """
        if text is None:
            return None
        *parents, tag = path.split("/")
        parent = self
        for name in parents:
            parent = parent.branch(name)
        limit = _LENGTHS.get(tag, _LENGTH)
        if not 0 < len(text) <= limit or text.strip() != text:
            detail = f"1 to {limit} characters without outer blanks expected, given {len(text)}"
            raise self.refused(path, detail)
        leaf = parent.branch(tag)
        try:
            leaf.element.text = text
        except ValueError as error:
            raise self.refused(path, str(error)) from error
        return leaf

    def amount(self, path: str, amount: Money) -> None:
        leaf = self.leaf(path, amount.wire_amount)
        assert leaf is not None, "an amount has text"
        leaf.element.set("Ccy", amount.currency.code)

    def refused(self, path: str, detail: str) -> StatementError:
        return StatementError(
            "not_representable",
            line=0,
            field=f"{etree.QName(self.element).localname}/{path}",
            detail=detail,
            remedy="give a value the message can hold",
        )
