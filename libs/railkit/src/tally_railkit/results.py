"""What a rail answers: four results, each with what the platform does about it."""

from dataclasses import dataclass
from datetime import timedelta

from tally_railkit.states import Action, AttemptState


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider holds it durably under `reference`; the attempt takes `state`."""

    state: AttemptState
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """Nothing was decided and nothing can have happened twice: ask or send again after `poll_after`.

    Also the answer to 429 and to refused credentials of ours: never the payee's fault.
    """

    poll_after: timedelta
    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider did nothing and will not. `code` is a slug or the provider's own code."""

    code: str
    action: Action


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have happened: asked about by our key, never sent under another."""

    reason: str


Result = Accepted | Pending | Rejected | Unknown
