"""One entry per batch for accounts that nearly every transfer touches."""

from tally_ledger.domain.books import Books
from tally_ledger.domain.model import BatchEntry, Entry


def grouped(
    books: Books, entries: list[Entry], log_seq: int
) -> tuple[list[Entry], list[BatchEntry]]:
    """The entries of a batch, those of each aggregated account added up in one.

    The accounts' numbers are set back to the one entry they get; their balances are as they were.
    """
    aggregated = {account.id for account in books.accounts.values() if account.aggregated}
    if not aggregated:
        return entries, []
    kept: list[Entry] = []
    parts: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.account in aggregated:
            parts.setdefault(entry.account, []).append(entry)
        else:
            kept.append(entry)
    whole = [_whole(of_account, log_seq) for of_account in parts.values()]
    for one in whole:
        books.balances[one.account] = books.balances[one.account]._replace(seq=one.seq)
    return kept, whole


def _whole(parts: list[Entry], log_seq: int) -> BatchEntry:
    first, last = parts[0], parts[-1]
    return BatchEntry(
        first.account,
        first.seq,
        log_seq,
        sum(part.amount for part in parts),
        sum(part.pending for part in parts),
        last.posted_after,
        last.pending_after,
    )
