-- A transfer per transaction that keeps all the ledger keeps, on the ledger's own tables: `baselines.py`.

INSERT INTO ledger.shard_state (shard) VALUES ('one');
INSERT INTO ledger.account
    (id, shard, asset, owner, purpose, path, guarded, credits_posted, seq, opened_at)
SELECT 'acc_one' || lpad(n::text, 23, '0'), 'one', 'EUR', 'bench', 'wallet', 'bench', true, 1000000000,
       1, '2026-03-01Z'
FROM generate_series(0, {accounts}) n;

CREATE FUNCTION baseline.post_kept(
    p_journal text, p_transfer text, p_debit text, p_credit text, p_amount numeric
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    f CONSTANT text := E'\x1f';
    r CONSTANT text := E'\x1e';
    moment CONSTANT timestamptz := '2026-03-01Z';
    at CONSTANT text := '2026-03-01T00:00:00.000000Z';
    who CONSTANT text := concat_ws(E'\x1f', 'bench', 'bench', 'bench', '', 'bench', 'bench',
                                   'Measuring the ledger');
    asked bytea := sha256(convert_to(concat_ws(f, 'journal', 'one', p_journal, who, p_journal, at, '0',
                                               p_transfer, p_debit, p_credit, 'EUR', p_amount, 'bench'),
                                     'UTF8'));
    known bytea;
    payer ledger.account;
    payee ledger.account;
    head ledger.shard_state;
    refusal text;
    leaf bytea;
    header bytea;
BEGIN
    SELECT request_hash INTO known FROM ledger.journal WHERE id = p_journal
    UNION ALL SELECT request_hash FROM ledger.rejection WHERE id = p_journal
    UNION ALL SELECT request_hash FROM ledger.account_change WHERE id = p_journal;
    IF FOUND THEN
        RETURN CASE WHEN known = asked THEN 'known' ELSE 'id_conflict' END;
    END IF;
    PERFORM FROM ledger.account WHERE id IN (p_debit, p_credit) ORDER BY id FOR UPDATE;
    SELECT * INTO payer FROM ledger.account WHERE id = p_debit AND shard = 'one';
    SELECT * INTO payee FROM ledger.account WHERE id = p_credit AND shard = 'one';
    PERFORM FROM ledger.transfer WHERE id = p_transfer;
    refusal := CASE
        WHEN FOUND THEN 'duplicate_leg'
        WHEN payer.id IS NULL OR payee.id IS NULL THEN 'account_unknown'
        WHEN payer.asset <> 'EUR' OR payee.asset <> 'EUR' THEN 'currency_mismatch'
        WHEN payer.closed OR payee.closed THEN 'account_closed'
        WHEN payer.frozen_out OR payee.frozen_in THEN 'account_frozen'
        WHEN payer.guarded
            AND payer.credits_posted - payer.debits_posted - payer.debits_pending < p_amount
            THEN 'insufficient_funds'
        WHEN payee.no_credit_overdraft
            AND payee.credits_posted + payee.credits_pending + p_amount > payee.debits_posted
            THEN 'credit_overdraft'
        WHEN payee.credits_posted + payee.credits_pending + p_amount - payee.debits_posted
            > payee.max_balance THEN 'balance_limit_exceeded'
    END;
    -- Last, so that the end of the chain is held for as short as possible: to the commit.
    SELECT * INTO head FROM ledger.shard_state WHERE shard = 'one' FOR UPDATE;
    IF refusal IS NOT NULL THEN
        INSERT INTO ledger.rejection
            (id, shard, operation, reference, request_hash, code, detail, recorded_at)
        VALUES (p_journal, 'one', 'journal', p_journal, asked, refusal, refusal, moment);
        RETURN refusal;
    END IF;
    leaf := sha256('\x00'::bytea || convert_to(
        concat_ws(f, 'J', p_journal, 'journal', p_journal, encode(asked, 'hex'), at, at, who) || r ||
        concat_ws(f, 'T', head.transfer_seq + 1, p_transfer, 'single', '', p_debit, p_credit, 'EUR',
                  p_amount, 'bench', '', '') || r, 'UTF8'));
    header := convert_to(concat_ws(f, 'L', 2, 'one', head.log_seq + 1, head.transfer_seq + 1,
                                   head.transfer_seq + 1, 1, at) || r, 'UTF8');
    PERFORM ledger.advance_shard(
        'one', head.version, 1, moment, sha256(head.head || header || leaf), leaf);
    UPDATE ledger.account SET debits_posted = debits_posted + p_amount, seq = seq + 1
    WHERE id = p_debit;
    UPDATE ledger.account SET credits_posted = credits_posted + p_amount, seq = seq + 1
    WHERE id = p_credit;
    INSERT INTO ledger.journal
        (shard, log_seq, recorded_at, id, first_transfer, last_transfer, operation, reference,
         request_hash, effective_at, who_actor, who_principal, where_channel, why_program, why_event,
         why_reason)
    VALUES ('one', head.log_seq + 1, moment, p_journal, head.transfer_seq + 1, head.transfer_seq + 1,
            'journal', p_journal, asked, moment, 'bench', 'bench', 'bench', 'bench', 'bench',
            'Measuring the ledger');
    INSERT INTO ledger.transfer
        (shard, log_seq, seq, journal_id, id, kind, debit, credit, asset, amount, code)
    VALUES ('one', head.log_seq + 1, head.transfer_seq + 1, p_journal, p_transfer, 'single', p_debit,
            p_credit, 'EUR', p_amount, 'bench');
    INSERT INTO ledger.entry
        (recorded_at, account, seq, transfer_id, amount, pending, posted_after, pending_after)
    VALUES
        (moment, p_debit, payer.seq + 1, p_transfer, -p_amount, 0,
         payer.credits_posted - payer.debits_posted - p_amount,
         payer.credits_pending - payer.debits_pending),
        (moment, p_credit, payee.seq + 1, p_transfer, p_amount, 0,
         payee.credits_posted - payee.debits_posted + p_amount,
         payee.credits_pending - payee.debits_pending);
    RETURN 'posted';
END
$$;
