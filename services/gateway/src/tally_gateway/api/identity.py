"""Levels, tasks and tables: asked of the kyc service, which decides who sees what."""

from collections.abc import Iterator
from typing import Any, Final

from tally_gateway.api.behind import passed_on
from tally_gateway.api.model import Answer, Document, Gateway, Operation, Query, Route
from tally_gateway.routes.identity import READ


class Bare(Query):
    """These reads take nothing."""


class Identity(Document):
    """A party's level, and its tasks for whoever may see them."""

    party_id: str
    party_kind: str
    level: str
    may_remit: bool
    valid_until: str | None
    tasks: list[dict[str, Any]] | None = None


class DatedTable(Document):
    """A table by version, the newest first."""

    table: str
    versions: list[dict[str, Any]]


_IDENTITY: Final = {
    "party_id": "party_01h455vb4pex5vsknk084sn02q",
    "party_kind": "person",
    "level": "basic",
    "may_remit": False,
    "valid_until": "2028-10-31T00:00:00Z",
    "jurisdiction": "DE",
    "policy_version": 1,
    "reasons": ["passed:collect_data", "missing:document", "missing:liveness"],
    "tasks": [
        {
            "task_id": "task_01h455vb4pex5vsknk084sn02q",
            "kind": "document",
            "state": "open",
            "reason": "For the level standard",
            "who_must_act": "payee",
            "opened_at": "2026-09-21T08:00:00Z",
            "expires_at": None,
            "evidence": [],
        }
    ],
}
_VERSION: Final = {
    "version": 1,
    "jurisdictions": ["*"],
    "valid_from": "2026-10-01T00:00:00Z",
    "valid_until": None,
    "source": "Compliance handbook, section 4 (verify before production)",
    "rows": [],
}


def operations(gateway: Gateway) -> Iterator[Route]:
    """The reads of identity."""
    for path, name, summary, shown in (
        (
            "/parties/{party_id}/identity",
            "identity_get",
            "A party's level; its tasks for itself, whom it lets manage it, its tenant, the operator",
            Answer("As the caller may see it", Identity, _IDENTITY),
        ),
        (
            "/gates/{table}",
            "gate_table_get",
            "A table of gates by version, the newest first",
            Answer("Every version", DatedTable, {"table": "standard", "versions": [_VERSION]}),
        ),
        (
            "/limits/{table}",
            "limit_table_get",
            "A table of limits by version, the newest first",
            Answer("Every version", DatedTable, {"table": "standard", "versions": [_VERSION]}),
        ),
    ):
        yield (
            Operation(
                method="GET",
                path=f"/v1{path}",
                name=name,
                summary=summary,
                tag="identity",
                scope=READ,
                query=Bare,
                answers={200: shown},
            ),
            passed_on(gateway, gateway.identities, path, scope=READ, query=Bare),
        )
