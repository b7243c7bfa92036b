"""The report of a filing as a file: its totals are those of the journals, line by line."""

import csv
import io
from typing import Final

from tally_funding.claims.domain.filing import Filing

COLUMNS: Final = (
    "report_id", "filing_id", "holder", "jurisdiction", "account", "owner", "period",
    "last_activity_on", "currency", "amount", "journal_id",
)  # fmt: skip
TOTAL: Final = "TOTAL"
"""What stands in the column `account` of the closing lines, one for each currency."""


def render(filing: Filing, *, report_id: str, journals: dict[str, str]) -> str:
    """The file: a header, a line for each wallet whose money moved, a total for each currency.

    `journals` by line. Names and addresses are not in it: whoever files it adds them by account.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    head = (report_id, filing.filing_id, filing.holder, filing.jurisdiction)
    for line in filing.standing:
        writer.writerow(
            (
                *head,
                line.account,
                line.owner,
                line.period,
                line.last_activity_at.date().isoformat(),
                line.amount.currency.code,
                line.amount.wire_amount,
                journals[line.line_id],
            )
        )
    for total in filing.totals:
        writer.writerow((*head, TOTAL, "", "", "", total.currency.code, total.wire_amount, ""))
    return out.getvalue()
