"""Programs and their documents: policies, fees and the order in which wallets are used."""

from typing import Any

from tally_contracts.directory import OPERATOR
from tally_contracts.programs import (
    CreateProgram,
    Endpoint,
    FundingOrderSet,
    FundingWallet,
    ProgramCreated,
    ProgramFeesSet,
    ProgramPolicyPublished,
    PublishPolicy,
    SetFees,
    SetFundingOrder,
)
from tally_programs.domain.endpoints import CLASS_OF
from tally_programs.domain.periods import Asked, Period, decide_period
from tally_programs.domain.policy import check_policy
from tally_programs.domain.program import NO_DOCUMENTS, Document, DocumentKind, Program
from tally_programs.domain.refusal import Refusal
from tally_programs.service.desk import Desk, Outcome, not_permitted, taken
from tally_programs.wire import fee_lines_from, policy_from

ENDPOINTS = tuple(
    Endpoint(rail=rail, endpoint_class=found) for rail, found in sorted(CLASS_OF.items())
)


def create_program(desk: Desk, command: CreateProgram) -> Outcome:
    refusal = not_permitted(command.who, command.company, command.tenant)
    if refusal is not None:
        return refusal
    if desk.batch.programs.get(command.program_id) is not None:
        return taken("/program_id", "another program")
    if desk.batch.named(command.program) is not None:
        return Refusal(
            "program_taken",
            "/program",
            f"a program is called {command.program} already",
            "choose another name: events name programs by it, so it is one for the installation",
        )
    program = Program(
        command.program_id,
        command.tenant,
        command.program,
        command.company,
        command.title,
        NO_DOCUMENTS,
    )
    desk.batch.programs.put(program.id, program)
    return [
        ProgramCreated(
            program=program.name,
            company=program.company,
            title=program.title,
            **desk.fields(command),
        )
    ]


def publish_policy(desk: Desk, command: PublishPolicy) -> Outcome:
    program = desk.managed(command)
    if isinstance(program, Refusal):
        return program
    policy = policy_from(command.policy, command.version, ENDPOINTS)
    if isinstance(policy, Refusal):
        return policy
    refusal = check_policy(policy, command.policy.rails)
    if refusal is not None:
        return refusal
    asked = Asked(command.version, command.effective_from, command.effective_until)
    body = {
        "policy": command.policy.model_dump(mode="json"),
        "endpoints": [endpoint.model_dump(mode="json") for endpoint in ENDPOINTS],
    }
    period = _publish(desk, program, DocumentKind.POLICY, asked, body)
    if isinstance(period, Refusal):
        return period
    return [
        ProgramPolicyPublished(
            program=program.name,
            version=period.version,
            effective_from=period.begins,
            effective_until=period.ends,
            policy=command.policy,
            endpoints=ENDPOINTS,
            **desk.fields(command),
        )
    ]


def set_fees(desk: Desk, command: SetFees) -> Outcome:
    program = desk.managed(command)
    if isinstance(program, Refusal):
        return program
    lines = fee_lines_from(command.lines)
    if isinstance(lines, Refusal):
        return lines
    asked = Asked(command.version, command.effective_from)
    body = {"lines": [line.model_dump(mode="json") for line in command.lines]}
    period = _publish(desk, program, DocumentKind.FEES, asked, body)
    if isinstance(period, Refusal):
        return period
    return [
        ProgramFeesSet(
            program=program.name,
            version=period.version,
            effective_from=period.begins,
            lines=command.lines,
            **desk.fields(command),
        )
    ]


def set_funding_order(desk: Desk, command: SetFundingOrder) -> Outcome:
    program = desk.managed(command)
    if isinstance(program, Refusal):
        return program
    seen = set()
    for position, wallet in enumerate(command.wallets):
        field = f"/wallets/{position}"
        if wallet.account in seen:
            detail = f"{wallet.account} is named twice"
            return Refusal("wallet_twice", field, detail, "name each wallet once")
        if not _signed_for(desk, program, command.who.principal, wallet):
            return Refusal(
                "wallet_not_owned",
                f"{field}/account",
                f"{wallet.account} is no {wallet.currency} wallet of the principal's",
                "have the wallet's owner add it to the order",
            )
        seen.add(wallet.account)
    body = {"wallets": [wallet.model_dump(mode="json") for wallet in command.wallets]}
    asked = Asked(command.version)
    period = _publish(desk, program, DocumentKind.FUNDING_ORDER, asked, body)
    if isinstance(period, Refusal):
        return period
    return [
        FundingOrderSet(
            program=program.name,
            version=period.version,
            wallets=command.wallets,
            **desk.fields(command),
        )
    ]


def _signed_for(desk: Desk, program: Program, principal: str, wallet: FundingWallet) -> bool:
    """Whether the principal owns the wallet, or its owner has put it in the order before (F7).

    The installation itself signs for the company and the tenant, as when it moves a tenant here.
    The account of an owner's main wallet says whose it is by itself; the directory tells of others.
    """
    owners = (program.company, program.tenant) if principal == OPERATOR else (principal,)
    code = wallet.currency
    if wallet.account in {desk.books.account("wallet", owner, code).id for owner in owners}:
        return True
    known = desk.batch.wallets.get(wallet.account)
    if known is not None and known.owner in owners and known.currency == code:
        return True
    orders = desk.batch.versions(program.id, DocumentKind.FUNDING_ORDER)
    return bool(orders) and wallet.model_dump(mode="json") in orders[-1].body["wallets"]


def _publish(
    desk: Desk, program: Program, kind: DocumentKind, asked: Asked, body: dict[str, Any]
) -> Period | Refusal:
    known = [document.period for document in desk.batch.versions(program.id, kind)]
    period = decide_period(program.versions[kind], known, asked, desk.now)
    if isinstance(period, Refusal):
        return period
    desk.batch.new_documents.append(Document(program.id, program.tenant, kind, period, body))
    desk.batch.programs.put(program.id, program.published(kind))
    return period
