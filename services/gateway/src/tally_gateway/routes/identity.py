"""Routes of identity: tasks, changes of what is known of a party, tables of gates and limits.

Who may do what to a task, the kyc service knows: here the principal has to reach the party.
"""

from typing import Any, Final

from tally_contracts import kyc
from tally_gateway.routes.model import About, CommandRoute

READ: Final = "identity:read"
WRITE: Final = "identity:write"
DECIDE: Final = "identity:decide"
_TAG: Final = "identity"
_TASK: Final = (About("task_id", is_thing=True),)
_CEILING: Final = {"currency": "EUR", "amount": "150.00"}
_TABLE: Final[dict[str, Any]] = {
    "version": 1,
    "jurisdictions": ["*"],
    "source": "Compliance handbook, section 4 (verify before production)",
}

ROUTES: Final = (
    CommandRoute(
        "/v1/parties/{party_id}/tasks",
        kyc.OpenTask,
        tag=_TAG,
        summary="Ask a party to show something of its identity, or ask to show it",
        scope=WRITE,
        subject="task_id",
        makes={"task_id": "task"},
        about=(About("party_id"),),
        owners=("party_id",),
        example={"kind": "document", "reason": "For the level standard"},
    ),
    CommandRoute(
        "/v1/tasks/{task_id}/submit",
        kyc.SubmitTask,
        tag=_TAG,
        summary="The party has done its part; evidence is named, never sent",
        scope=WRITE,
        subject="task_id",
        about=_TASK,
        example={"evidence": [{"reference": "vault:doc-4711", "digest": "5b" * 32}]},
    ),
    CommandRoute(
        "/v1/tasks/{task_id}/decide",
        kyc.DecideTask,
        tag=_TAG,
        summary="Take a task into review, pass, fail or waive it; by another than who submitted it",
        scope=DECIDE,
        subject="task_id",
        about=_TASK,
        example={"outcome": "passed", "expires_at": "2028-10-31T00:00:00Z"},
    ),
    CommandRoute(
        "/v1/parties/{party_id}/identity/changes",
        kyc.ReportChange,
        tag=_TAG,
        summary="Say what is true no longer of a party: what showed it is asked anew",
        scope=WRITE,
        subject="party_id",
        about=(About("party_id"),),
        example={"changed": ["address"], "reason": "Moved house"},
    ),
    CommandRoute(
        "/v1/gates/{table}",
        kyc.PublishGateTable,
        tag=_TAG,
        summary="Publish the next version of a table of gates",
        scope=DECIDE,
        subject="table",
        method="PUT",
        operator_only=True,
        example={
            **_TABLE,
            "rows": [
                {
                    "party_kind": "person",
                    "level": "none",
                    "act": "exit",
                    "endpoint_class": "any",
                    "answer": "open_to",
                    "limit": _CEILING,
                    "code": "identity_too_low",
                    "remedy": "do the tasks of level basic",
                    "who_must_act": "payee",
                }
            ],
        },
    ),
    CommandRoute(
        "/v1/limits/{table}",
        kyc.PublishLimitTable,
        tag=_TAG,
        summary="Publish the next version of a table of limits",
        scope=DECIDE,
        subject="table",
        method="PUT",
        operator_only=True,
        example={
            **_TABLE,
            "rows": [
                {
                    "level": "basic",
                    "act": "exit",
                    "endpoint_class": "any",
                    "window": "day",
                    "limit": _CEILING,
                }
            ],
        },
    ),
)
