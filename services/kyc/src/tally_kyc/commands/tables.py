"""Commands that publish tables of gates and limits."""

from tally_contracts import kyc as wire
from tally_kyc.desk import Desk
from tally_kyc.domain.refusal import refuse
from tally_kyc.domain.tables import (
    Amount,
    Gate,
    Limit,
    TableKind,
    Version,
    check_gates,
    check_limits,
    check_version,
)
from tally_kyc.domain.world import OPERATOR


def publish_gates(desk: Desk, command: wire.PublishGateTable) -> None:
    """Put a version of a table of gates in force from its time on."""
    _need_operator(desk)
    version = _version(desk, command, TableKind.GATE)
    check_version(version, _known(desk, TableKind.GATE), desk.now)
    check_gates([_gate(row) for row in command.rows])
    _publish(desk, version, wire.GateTablePublished, command)


def publish_limits(desk: Desk, command: wire.PublishLimitTable) -> None:
    """Put a version of a table of limits in force from its time on."""
    _need_operator(desk)
    version = _version(desk, command, TableKind.LIMIT)
    check_version(version, _known(desk, TableKind.LIMIT), desk.now)
    check_limits([_limit(row) for row in command.rows])
    _publish(desk, version, wire.LimitTablePublished, command)


def _publish(
    desk: Desk,
    version: Version,
    fact: type[wire.GateTablePublished | wire.LimitTablePublished],
    command: wire.PublishGateTable | wire.PublishLimitTable,
) -> None:
    event = fact.model_validate(
        {
            **desk.said(command.tenant),
            "table": version.table,
            "version": version.number,
            "jurisdictions": command.jurisdictions,
            "valid_from": version.valid_from,
            "valid_until": version.valid_until,
            "source": command.source,
            "rows": command.rows,
        }
    )
    desk.world.versions.put(version.key, version)
    desk.tell(version.table, event)


def _need_operator(desk: Desk) -> None:
    if desk.who.principal != OPERATOR:
        refuse(
            "operator_only",
            None,
            "gates and limits are the installation's",
            "ask the operator to publish it",
        )


def _known(desk: Desk, kind: TableKind) -> list[Version]:
    return [version for version in desk.world.versions.values() if version.kind is kind]


def _version(
    desk: Desk, command: wire.PublishGateTable | wire.PublishLimitTable, kind: TableKind
) -> Version:
    return Version(
        kind=kind,
        table=command.table,
        number=command.version,
        jurisdictions=frozenset(command.jurisdictions),
        valid_from=command.valid_from or desk.now,
        valid_until=command.valid_until,
        source=command.source,
        rows=tuple(row.model_dump(mode="json") for row in command.rows),
    )


def _gate(row: wire.GateRow) -> Gate:
    return Gate(
        row.party_kind,
        row.level,
        row.act,
        row.endpoint_class,
        row.answer,
        None if row.limit is None else Amount(row.limit.amount, row.limit.currency),
        row.code,
        row.remedy,
        row.who_must_act,
    )


def _limit(row: wire.LimitRow) -> Limit:
    limit = Amount(row.limit.amount, row.limit.currency)
    return Limit(row.level, row.act, row.endpoint_class, row.window, limit)
