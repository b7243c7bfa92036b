"""One message of a batch: what it means to the payouts it is about."""

from dataclasses import dataclass, replace
from typing import Any, assert_never

from tally_contracts.directory_facts import PartiesMerged
from tally_contracts.funding import PayInAllocated
from tally_contracts.funding_claims import DesignationMoved
from tally_contracts.kyc import GateTablePublished, LevelChanged, LimitTablePublished
from tally_contracts.ledger import (
    HoldCaptured,
    HoldPlaced,
    HoldRejected,
    HoldReleased,
    JournalPosted,
    JournalRejected,
)
from tally_contracts.payouts import CancelPayout, ChooseMethod, RequestPayout
from tally_contracts.programs import ProgramPolicyPublished
from tally_contracts.rails import AttemptChanged, InstrumentRefused, InstrumentRegistered
from tally_messaging import Received
from tally_payouts.answers import Answers
from tally_payouts.batch import ID_PREFIX, Batch, Tracked, new_payout
from tally_payouts.context import Context
from tally_payouts.domain.attempts import AttemptFact, decide_attempt
from tally_payouts.domain.holds import (
    decide_hold_captured,
    decide_hold_placed,
    decide_hold_rejected,
    decide_hold_released,
    decide_return_posted,
    decide_return_rejected,
)
from tally_payouts.domain.methods import (
    Instrument,
    InstrumentState,
    Methods,
    MethodState,
    decide_choice,
    decide_instrument,
    judged,
)
from tally_payouts.domain.opening import (
    NewPayout,
    decide_cancel,
    decide_open,
    decide_reject,
    decide_way,
)
from tally_payouts.domain.payout import (
    CaseOpened,
    Decision,
    Effect,
    Ignored,
    Order,
    Refused,
    Taken,
)
from tally_payouts.domain.policy import Request, forbidden_by
from tally_payouts.exits import Exits
from tally_payouts.following import Following
from tally_payouts.keeping import Keeper, log_input
from tally_payouts.outgoing import Outgoing, return_journal_id
from tally_payouts.policies import StoredPolicy
from tally_runtime import derived_id, party_id_of

_OTHER_DETAILS = "id_conflict"

HoldFact = HoldPlaced | HoldCaptured | HoldReleased | HoldRejected
JournalFact = JournalPosted | JournalRejected


@dataclass(frozen=True, slots=True)
class Installation:
    """Whose payouts these are: its tenant, its ledger, the rails it has.

    `entity_country` is that of the entity which books the wallets, where it is said.
    """

    tenant: str
    ledger: str
    rails: frozenset[str]
    entity_country: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One message's turn on the batch."""

    installation: Installation
    batch: Batch
    exits: Exits
    outgoing: Outgoing
    message: Received[Any]

    def take(self) -> None:
        event = self.message.event
        match event:
            case PayInAllocated():
                self._allocated(event)
            case RequestPayout():
                self._requested(event)
            case ChooseMethod():
                self._method_chosen(event)
            case CancelPayout():
                self._cancelled(event)
            case InstrumentRegistered():
                self._registered(event)
            case InstrumentRefused():
                self._refused(event)
            case AttemptChanged():
                self._attempt(event)
            case JournalPosted() | JournalRejected():
                self._journal(event)
            case DesignationMoved():
                self._following.moved(event)
            case LevelChanged() | GateTablePublished() | LimitTablePublished() | PartiesMerged():
                self._identity(event)
            case ProgramPolicyPublished():
                self.batch.publish(StoredPolicy.of(event))
            case _:
                self._hold(event)

    def _identity(
        self, event: LevelChanged | GateTablePublished | LimitTablePublished | PartiesMerged
    ) -> None:
        if isinstance(event, LevelChanged):
            self.exits.tell(event)
        elif isinstance(event, PartiesMerged):
            self._merged(event)
        else:
            self.exits.publish(event)

    def _allocated(self, event: PayInAllocated) -> None:
        for share in event.allocations:
            self.batch.owns(share.account, (share.owner, share.amount.currency))
        for new in self.batch.openings[event.pay_in_id]:
            self._open(new, None)
            self._following.follow(self.batch.payouts[new.id])

    def _requested(self, event: RequestPayout) -> None:
        order = Order(event.ledger, event.owner, event.company, event.account, event.amount.money())
        self._open(new_payout(event.payout_id, order), self._why_not(event.payout_id, order))

    def _why_not(self, payout_id: str, order: Order) -> str | None:
        """Why this wallet cannot be withdrawn from; None when it can."""
        if not payout_id.startswith(ID_PREFIX):
            # The journal that brings its money back would not be read.
            return "payout_id_malformed"
        if order.ledger != self.installation.ledger:
            return "ledger_unknown"
        owner, code = order.wallet_key
        theirs = self.batch.wallets.get(order.account)
        if theirs is None:
            # The request may be ahead of the fact that names the wallet; the id of an owner's
            # main wallet says whose it is by itself.
            main = derived_id("acc", self.installation.tenant, f"wallet/{owner}/{code}")
            return None if order.account == main else "account_unknown"
        # Money may have named its payee by a reference. What is restricted is no payee's yet.
        installation = self.installation.tenant
        if party_id_of(theirs[0], installation) != party_id_of(owner, installation):
            return "account_not_owned"
        return None if theirs[1] == code else "currency_mismatch"

    def _open(self, new: NewPayout, refusal: str | None) -> None:
        known = self.batch.payouts.get(new.id)
        if known is not None:
            self._repeated(known, new)
            return
        context = Context.of(self.message)
        policy = self.batch.policy_in_force(context.why.program, self.outgoing.uow.now)
        request = Request(new.order.amount, context.where.country, new.order.source, new.order.kind)
        if policy is not None:
            new = replace(new, policy_version=policy.version)
        refusal = refusal or forbidden_by(policy, request)
        if refusal is None:
            way = self.batch.way(new.order.wallet_key, policy, request)
            decision = decide_open(new, way)
        else:
            decision = decide_reject(new, refusal)
        tracked = Tracked(decision.payout, context)
        self.batch.payouts[new.id] = tracked
        self._take_up(tracked, decision)

    def _repeated(self, known: Tracked, new: NewPayout) -> None:
        effects: tuple[Effect, Effect]
        if known.payout.order == new.order:
            effects = Ignored("payout_known"), Taken()
        else:
            detail = f"{new.id} was asked for again with other content; the first order stands"
            case = CaseOpened("id_conflict", str(self.message.event_key), detail)
            effects = case, Refused(case.code)
        # A pay-in is told again by whoever books it, not by somebody who waits for an answer.
        asked = isinstance(self.message.event, RequestPayout)
        self._take_up(known, Decision(known.payout, effects if asked else effects[:1]))

    def _cancelled(self, event: CancelPayout) -> None:
        tracked = self.batch.payouts.get(event.payout_id)
        if tracked is None:
            self._answers.refused("payout_unknown", self.message)
        else:
            self._take_up(tracked, decide_cancel(tracked.payout))

    def _method_chosen(self, event: ChooseMethod) -> None:
        before = self.batch.methods[event.owner, event.currency]
        instrument = self.batch.instruments[event.instrument]
        after = decide_choice(before, event.rail, instrument, self.installation.rails)
        choice = after.choices[-1]
        if choice.state is MethodState.REFUSED:
            assert choice.reason_code is not None, "a refused choice says why"
            self._answers.refused(choice.reason_code, self.message)
        else:
            self._answers.chosen(choice, self.message)
        self._set_methods(after)

    def _registered(self, event: InstrumentRegistered) -> None:
        self._judge(
            Instrument(
                event.instrument_id,
                InstrumentState.REGISTERED,
                event.rail,
                event.owner,
                event.currency,
                event.settlement_account,
            )
        )
        if event.settlement_account is not None:
            self.batch.owns(event.settlement_account, (event.owner, event.currency))

    def _refused(self, event: InstrumentRefused) -> None:
        if event.code == _OTHER_DETAILS:
            # Other details under a used id were turned away; the instrument registered first stands.
            return
        before = self.batch.instruments[event.instrument_id]
        self._judge(
            Instrument(
                event.instrument_id,
                InstrumentState.REFUSED,
                event.rail,
                event.owner,
                before.currency,
                before.settlement_account,
            )
        )

    def _judge(self, instrument: Instrument) -> None:
        self.batch.replace_instrument(instrument)
        for methods in self.batch.chosen(instrument.id):
            after = decide_instrument(methods, instrument)
            for choice in judged(methods, after):
                self._answers.judged(choice, self.message)
            self._set_methods(after)

    def _set_methods(self, methods: Methods) -> None:
        """Put the payee's choices in force, and let the payouts that waited for them go."""
        self.batch.replace_methods(methods)
        self._let_go(methods.owner, methods.currency)

    def _merged(self, event: PartiesMerged) -> None:
        """What waited for a method of the one that was merged goes by those of the one that is kept."""
        ours = self.batch.families.names_of({event.party_id})
        for code in sorted({code for owner, code in self.batch.claimable if owner in ours}):
            self._let_go(event.party_id, code)

    def _let_go(self, owner: str, code: str) -> None:
        for tracked in self.batch.waiting(owner, code):
            policy = self.batch.policy_of(tracked)
            way = self.batch.way(tracked.payout.order.wallet_key, policy, tracked.request)
            self._take_up(tracked, decide_way(tracked.payout, way))

    def _attempt(self, event: AttemptChanged) -> None:
        tracked = self._find(event.payout_id)
        if tracked is None:
            return
        fact = AttemptFact(
            event.attempt_id,
            event.sequence,
            event.state,
            event.amount.money(),
            event.code,
            event.action,
            event.return_reference or event.provider_reference or "unreferenced",
        )
        self._take_up(tracked, decide_attempt(tracked.payout, fact))

    def _hold(self, event: HoldFact) -> None:
        tracked = self.batch.payouts.get(event.reference)
        if tracked is None or tracked.payout.hold_id != event.hold_id:
            return  # the hold of another service: the topic is shared
        payout = tracked.payout
        match event:
            case HoldPlaced():
                decision = decide_hold_placed(payout, self.exits.rule(tracked))
            case HoldCaptured():
                decision = decide_hold_captured(payout, event.amount.money())
            case HoldReleased():
                decision = decide_hold_released(payout)
            case HoldRejected():
                decision = decide_hold_rejected(payout, event.operation, event.code)
            case _:
                assert_never(event)
        self._take_up(tracked, decision)

    def _journal(self, event: JournalFact) -> None:
        tracked = self.batch.payouts.get(event.reference)
        if tracked is None or return_journal_id(tracked.payout) != event.journal_id:
            return  # a journal of another service: the topic is shared
        if isinstance(event, JournalPosted):
            self._take_up(tracked, decide_return_posted(tracked.payout))
        else:
            self._take_up(tracked, decide_return_rejected(tracked.payout, event.code))

    def _find(self, payout_id: str) -> Tracked | None:
        tracked = self.batch.payouts.get(payout_id)
        if tracked is None:
            log_input(self.message, "payout_unknown", payout_id, alarm=True)
        return tracked

    def _take_up(self, tracked: Tracked, decision: Decision) -> None:
        """Keep what was decided and emit what follows from it, in order."""
        rails = self.installation.rails
        keeper = Keeper(rails, self.batch, self.exits, self.outgoing, self.message)
        keeper.keep(tracked, decision)

    @property
    def _following(self) -> Following:
        return Following(self.batch, self.installation.tenant, self._take_up)

    @property
    def _answers(self) -> Answers:
        return Answers(self.outgoing.uow)
