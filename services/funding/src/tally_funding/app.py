"""The funding service, put together."""

from tally_funding import agreements, store
from tally_funding.claims.service import Claims
from tally_funding.claims.worker import ClaimsWorker
from tally_funding.errors import RuleInvalid, RuleReused
from tally_funding.escrow.worker import DeadlineWorker
from tally_funding.handlers import build_router
from tally_funding.matching.worker import Matcher
from tally_funding.postings import Books
from tally_funding.refunds.worker import ReturnsDue
from tally_funding.rule_document import LoadedRule, read_rule
from tally_funding.rules.book import RuleBook
from tally_funding.rules.handlers import build_rules_router
from tally_funding.service import Funding
from tally_funding.settings import FundingSettings
from tally_funding.sources.routing import build_sources_router
from tally_funding.sources.watch import SourcesMetrics, SourcesWatch
from tally_funding.statements.credits import UNMATCHED_PROGRAM
from tally_funding.watch import FundingMetrics, SuspenseWatch
from tally_messaging import Service, Transactor, UnitOfWork, service_schema
from tally_messaging.batch import Step, no_step
from tally_runtime import Clock, Ids, Metrics, SettingsError
from tally_runtime.settings import SettingProblem, environment_name
from tally_security.sealing import SealingKey

SCHEMA = service_schema("funding", __file__)


def build_app(
    settings: FundingSettings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    metrics: Metrics | None = None,
    step: Step = no_step,
) -> Service:
    """Build the service; raises `SettingsError` naming TALLY_FUNDING_RULE for a rule with faults."""
    loaded = _load_rule(settings)
    rules = RuleBook(loaded.rule)
    funding = Funding(Books(settings.tenant, settings.ledger_name), rules)

    key = SealingKey.parse(settings.claim_sealing_key.get_secret_value())
    claims = Claims(funding.books, key)
    metrics = metrics or Metrics("funding")

    async def prepare(transactor: Transactor) -> None:
        await remember_rule(transactor, loaded)

    return Service(
        "funding",
        settings,
        schema=SCHEMA,
        routers=[
            build_router(funding, settings.sources, settings.reference_program),
            build_rules_router(rules, funding.books),
            build_sources_router(funding, settings.reference_program or UNMATCHED_PROGRAM),
            agreements.build_router(claims),
        ],
        workers=[
            SuspenseWatch(FundingMetrics.of(metrics.for_service("funding"))),
            SourcesWatch(SourcesMetrics.of(metrics.for_service("funding"))),
            ReturnsDue(funding.books),
            Matcher(funding, settings.match_automatic_from),
            DeadlineWorker(funding.books),
            ClaimsWorker(funding.books),
        ],
        prepare=prepare,
        clock=clock,
        ids=ids,
        metrics=metrics,
        step=step,
    )


async def remember_rule(transactor: Transactor, loaded: LoadedRule) -> None:
    """Keep the rule's document beside the money it divides.

    Raises `RuleReused` when its version is in use with another content.
    """
    rule = loaded.rule

    async def unit(uow: UnitOfWork) -> bytes:
        return await store.remember_rule(uow.conn, rule, loaded.digest, loaded.document, uow.now)

    if await transactor.run(unit) != loaded.digest:
        raise RuleReused(rule.label)


def _load_rule(settings: FundingSettings) -> LoadedRule:
    try:
        return read_rule(settings.rule)
    except RuleInvalid as error:
        variable = environment_name(FundingSettings, "rule")
        given = "the bundled rule" if settings.rule is None else str(settings.rule)
        raise SettingsError(
            tuple(
                SettingProblem(variable, f"is no rule that can be used: {fault}", given)
                for fault in error.faults
            )
        ) from error
