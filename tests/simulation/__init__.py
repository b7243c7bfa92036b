"""A deterministic simulation of the platform: one seed decides everything that happens.

What is real, running unchanged on a simulated event loop:
    the ledger's `fold` and `decide`, its handlers, wire format, seals and expiry worker; the payouts
    service; the funding service with its bundled rule; the rails service, its desk and the wallet
    rail; and of messaging the parser, Router, UnitOfWork, Transactor, BatchProcessor, Consumer (its
    offsets, back-off and rebalance behaviour) and Relay, with `in_transaction` and its retries.

What is simulated:
    the event loop's clock (`loop.py`), processes that crash, stop and wake up (`world.py`), Postgres
    as rows with row locks and read-committed statements (`database.py`), each service's store module
    over such rows (`*_store.py`, one function for each of the real ones), Kafka with its groups, lost
    acknowledgements and fetch order (`broker.py`), and a bank with a job that talks to it (`bank.py`).

So SQL, aiokafka, FastStream and real sockets are NOT tested here: the tests on real Postgres and Kafka
do that. The ledger's rows are one value per shard, guarded by the same version, and not a row for
each account. Funding's bank statements and the ACH files are left out.

Services reach their store through private second copies of their modules (`linking.py`), bound to the
stores in memory; the modules everybody else imports stay as they are.
"""
