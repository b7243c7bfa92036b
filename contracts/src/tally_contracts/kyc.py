"""Identity: tasks a party does, levels derived from them, and dated tables of gates and limits.

Every command has an id of its own and leads to one fact at least: what it changed, or a
`KycCommandRefused`. No command and no fact holds a name, a birth date, an address or a number of a
document: evidence is a reference and a digest. Closed lists of words may grow.
"""

from typing import Annotated, ClassVar, Final

from pydantic import Field, StrictBool, StringConstraints

from tally_contracts.base import (
    AssetCode,
    Count,
    Country,
    DecimalText,
    Event,
    Shape,
    Slug,
    Text,
    Token,
    TypeId,
    UtcTime,
    Who,
)
from tally_money import Money

LEVELS: Final = ("none", "basic", "standard", "advanced")
"""What is known of a party, from nothing upward."""

ANYWHERE: Final = "*"
"""The jurisdiction of a default table: what no other table of the kind covers."""

Jurisdiction = Annotated[str, StringConstraints(pattern=r"^(\*|[A-Z]{2})$")]
"""ISO 3166-1 alpha-2, or `*`."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in lower-case hex."""

_Note = Annotated[str, StringConstraints(max_length=2000)]
"""A reason as it was typed; one that is missing or no Text is answered with a refusal."""


class Evidence(Shape):
    """Where something that shows a task's matter is kept, and the digest of what was shown."""

    reference: Token
    digest: Digest


class Ceiling(Shape):
    """The most that may move, in a currency."""

    currency: AssetCode
    amount: DecimalText

    def money(self) -> Money:
        """The same in integer minor units; raises a MoneyError for what is no ISO 4217 money."""
        return Money.parse(self.amount, self.currency)


class GateRow(Shape):
    """What one kind of party at one level may do at one class of endpoint.

    `party_kind`: person, company. `level`: one of LEVELS. `act`: receive, hold, convert, exit.
    `endpoint_class`: cash, cash_like, closed_loop, any; a row that names the class goes before
    `any`. `answer`: open, open_to (`limit` says how much), closed. Whatever is not open has `code`,
    `remedy` and `who_must_act`: payee, company, operator. A level includes those below it. What rows
    name for no level is open; what they name for higher levels alone is closed.
    """

    party_kind: Slug
    level: Slug
    act: Slug
    endpoint_class: Slug
    answer: Slug
    limit: Ceiling | None = None
    code: Slug | None = None
    remedy: Text | None = None
    who_must_act: Slug | None = None


class LimitRow(Shape):
    """How much a party of a level may move in a window; reserved amounts count.

    `act`, `endpoint_class` and `level` as in GateRow; a row of class `any` counts all classes
    together. `window`: item, day, month, year (calendar, UTC), lifetime.
    """

    level: Slug
    act: Slug
    endpoint_class: Slug
    window: Slug
    limit: Ceiling


GateRows = Annotated[tuple[GateRow, ...], Field(min_length=1, max_length=200)]
LimitRows = Annotated[tuple[LimitRow, ...], Field(min_length=1, max_length=500)]
Jurisdictions = Annotated[tuple[Jurisdiction, ...], Field(min_length=1, max_length=260)]


class KycCommand(Event):
    """What all commands have; `who.principal` is a party or `operator`."""

    command_id: TypeId
    tenant: Token
    who: Who
    occurred_at: UtcTime


class OpenTask(KycCommand):
    """Command: a party has to do, or wants to do, a task; only one of a kind waits at a time.

    `kind`: collect_data, document, liveness, address_proof, ownership, questionnaire, tax_form,
    method_ownership, screening_review.
    """

    TYPE: ClassVar[str] = "kyc.task.open.v1"

    task_id: TypeId
    party_id: TypeId
    kind: Slug
    reason: Text


class SubmitTask(KycCommand):
    """Command: the party has done its part; `evidence` says where it is kept, never what it is."""

    TYPE: ClassVar[str] = "kyc.task.submit.v1"

    task_id: TypeId
    evidence: Annotated[tuple[Evidence, ...], Field(max_length=32)]


class DecideTask(KycCommand):
    """Command: `outcome` in_review, passed, failed or waived, by another than who submitted.

    Passed and waived expire at `expires_at`; failed and waived need a `reason`, which is a Text.
    """

    TYPE: ClassVar[str] = "kyc.task.decide.v1"

    task_id: TypeId
    outcome: Slug
    reason: _Note | None = None
    expires_at: UtcTime | None = None


class ReportChange(KycCommand):
    """Command: something known of a party is true no longer, so what rested on it is asked anew.

    `changed`: name, birth_date, nationality, address, country, ownership. `country` is the one the
    party lives in now: said if `changed` names it, and only then.
    """

    TYPE: ClassVar[str] = "kyc.party.report_change.v1"

    party_id: TypeId
    changed: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=16)]
    reason: Text
    country: Country | None = None


class _TableCommand(KycCommand):
    """The next version of a table that holds for some jurisdictions, or, with `*`, for the rest.

    `version` is one more than the last. It holds from `valid_from`, or at once, to `valid_until` or
    to the next version. At any time a jurisdiction has one table of a kind.
    """

    table: Slug
    version: Count
    jurisdictions: Jurisdictions
    valid_from: UtcTime | None = None
    valid_until: UtcTime | None = None
    source: Text


class PublishGateTable(_TableCommand):
    """Command: publish a version of a table of gates; the operator alone does."""

    TYPE: ClassVar[str] = "kyc.gate_table.publish.v1"

    rows: GateRows


class PublishLimitTable(_TableCommand):
    """Command: publish a version of a table of limits; the operator alone does."""

    TYPE: ClassVar[str] = "kyc.limit_table.publish.v1"

    rows: LimitRows


class _Fact(Event):
    """What all facts have: whose tree, by whom (a person, or a service of the platform), and when."""

    tenant: Token
    who: Who
    occurred_at: UtcTime


class TaskFact(_Fact):
    """A task of a party. `who_must_act`: payee, company, operator; nobody once it is decided."""

    task_id: TypeId
    party_id: TypeId
    kind: Slug
    who_must_act: Slug | None


class TaskOpened(TaskFact):
    """The party is asked for this. `code`: registered, asked, data_changed, expiring, expired."""

    TYPE: ClassVar[str] = "kyc.task.opened.v1"

    code: Slug
    reason: Text


class TaskSubmitted(TaskFact):
    """The party has done its part."""

    TYPE: ClassVar[str] = "kyc.task.submitted.v1"

    evidence: Annotated[tuple[Evidence, ...], Field(min_length=1, max_length=32)]


class TaskInReview(TaskFact):
    """Somebody looks at it."""

    TYPE: ClassVar[str] = "kyc.task.in_review.v1"

    reason: Text | None


class TaskDecided(TaskFact):
    """The task has come to an end. `outcome`: passed, failed, waived.

    `submitted_by` is the actor who submitted, never the one who decided; null where a task was
    waived that nobody had submitted.
    """

    TYPE: ClassVar[str] = "kyc.task.decided.v1"

    outcome: Slug
    reason: Text | None
    submitted_by: Token | None
    expires_at: UtcTime | None


class TaskExpiring(TaskFact):
    """What was passed or waived holds until `expires_at`, which is near."""

    TYPE: ClassVar[str] = "kyc.task.expiring.v1"

    expires_at: UtcTime


class TaskExpired(TaskFact):
    """The task counts no more. `code`: time_passed, data_changed, party_merged."""

    TYPE: ClassVar[str] = "kyc.task.expired.v1"

    code: Slug
    reason: Text


class LevelChanged(_Fact):
    """What a party's level is now; the highest `sequence` of a party is its state.

    `party_kind`: person, company. `jurisdiction` is the country of residence, where it is known.
    The first one of a party says `none`, and has no `previous`. It comes again with the same level
    where one of the other fields changed. `reasons` names what the level rests on, or why it fell:
    `passed:<kind>`, `waived:<kind>`, `missing:<kind>`, `merged:<party>`. `valid_until` is when the
    first of what the level itself rests on expires. `may_remit`: a company that may fund and pay
    others; it has no end of its own, and is told anew once it is over.
    """

    TYPE: ClassVar[str] = "kyc.level.changed.v1"

    party_id: TypeId
    party_kind: Slug
    jurisdiction: Country | None
    level: Slug
    previous: Slug | None
    may_remit: StrictBool
    reasons: Annotated[tuple[Token, ...], Field(max_length=32)]
    policy_version: Count
    valid_until: UtcTime | None
    sequence: Count


class ChangeReported(_Fact):
    """Something known of the party is true no longer; `reopened` are the tasks it is asked anew."""

    TYPE: ClassVar[str] = "kyc.party.change_reported.v1"

    party_id: TypeId
    changed: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=16)]
    reason: Text
    reopened: Annotated[tuple[TypeId, ...], Field(max_length=32)]


class _TableFact(_Fact):
    """A version of a table, whole, so that a reader needs no other. Fields as in its command."""

    table: Slug
    version: Count
    jurisdictions: Jurisdictions
    valid_from: UtcTime
    valid_until: UtcTime | None
    source: Text


class GateTablePublished(_TableFact):
    """These gates hold from `valid_from`; what was decided before them stays decided."""

    TYPE: ClassVar[str] = "kyc.gate_table.published.v1"

    rows: GateRows


class LimitTablePublished(_TableFact):
    """These limits hold from `valid_from`; what was decided before them stays decided."""

    TYPE: ClassVar[str] = "kyc.limit_table.published.v1"

    rows: LimitRows


class KycCommandRefused(_Fact):
    """A command changed nothing: what is wrong, where in it (JSON pointer), and what to do.

    `code`: party_unknown, kind_unknown, task_unknown, task_waits, task_state, outcome_unknown,
    decided_by_submitter, not_permitted, reason_missing, reason_malformed, expiry_missing,
    expiry_past, expiry_not_wanted, evidence_missing, change_unknown, country_missing,
    country_not_wanted, operator_only, version_stale, effective_past, period_empty, table_overlap,
    row_duplicate, row_incomplete, word_unknown, id_reused (more may come).
    """

    TYPE: ClassVar[str] = "kyc.command.refused.v1"

    command_id: TypeId
    command_type: Token
    subject: Token
    code: Slug
    field: Text | None
    detail: Text
    remedy: Text


class KycCommandRepeated(_Fact):
    """A command was carried out before: what the fact of type `answer` told of it stands."""

    TYPE: ClassVar[str] = "kyc.command.repeated.v1"

    command_id: TypeId
    command_type: Token
    subject: Token
    answer: Token


COMMANDS: tuple[type[KycCommand], ...] = (
    OpenTask,
    SubmitTask,
    DecideTask,
    ReportChange,
    PublishGateTable,
    PublishLimitTable,
)
FACTS: tuple[type[Event], ...] = (
    TaskOpened,
    TaskSubmitted,
    TaskInReview,
    TaskDecided,
    TaskExpiring,
    TaskExpired,
    LevelChanged,
    ChangeReported,
    GateTablePublished,
    LimitTablePublished,
    KycCommandRefused,
    KycCommandRepeated,
)
