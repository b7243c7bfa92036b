"""A program, and the documents that are in force for it over time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from tally_programs.domain.periods import Period


class DocumentKind(StrEnum):
    POLICY = "policy"
    FEES = "fees"
    FUNDING_ORDER = "funding_order"


@dataclass(frozen=True, slots=True)
class Program:
    """A company's program. `versions` counts the documents published so far, by kind."""

    id: str
    tenant: str
    name: str
    company: str
    title: str
    versions: Mapping[DocumentKind, int]
    sequence: int = 1

    def published(self, kind: DocumentKind) -> "Program":
        """The program with one more document of a kind."""
        versions = {**self.versions, kind: self.versions[kind] + 1}
        return replace(self, versions=versions, sequence=self.sequence + 1)


@dataclass(frozen=True, slots=True)
class Document:
    """One version of a document, as it was published; it never changes."""

    program_id: str
    tenant: str
    kind: DocumentKind
    period: Period
    body: Mapping[str, Any]


NO_DOCUMENTS: Mapping[DocumentKind, int] = MappingProxyType(dict.fromkeys(DocumentKind, 0))
