-- Tables as folding :payments payments of :payees payees would leave them. Every fifth payment is
-- the first payee's; one in 5000 payouts waits for its payee; every second payment is of one event.
CREATE TEMP TABLE payment AS
SELECT n, CASE WHEN n % 5 = 0 THEN 0 ELSE n % :payees END AS payee, :start + n * :step AS at,
       n % 5000 = 1 AS waits, CASE WHEN n % 2 = 0 THEN 'campaign' ELSE 'order:' || n END AS event
FROM generate_series(1, :payments) n;
CREATE TEMP TABLE above AS
SELECT p, 'party_p' || p AS party, 'party_c' || p % 100 AS company FROM generate_series(0, :payees - 1) p;
-- An eighth of the payments have a thing of every kind that facts tell of whole.
CREATE TEMP TABLE item AS
SELECT m.n, a.party, a.company, m.at FROM payment m JOIN above a ON a.p = m.payee
WHERE m.n % 10 = 5 OR m.n % 40 = 7;

INSERT INTO party (party_id, tenant, described, kind, alias, state, placed, parent, registered_at)
SELECT 'party_root', 'party_root', '1', 'aggregator', 'root', 'registered', '1', NULL, :start
UNION ALL
SELECT 'party_c' || c, 'party_root', '1', 'company', 'company-' || c, 'registered', '1', 'party_root', :start
FROM generate_series(0, 99) c
UNION ALL
SELECT party, 'party_root', '1', 'payee', 'payee-' || p, 'registered', '1', company, :start FROM above;
INSERT INTO descent (party, ancestor, tenant, depth)
SELECT party_id, party_id, tenant, 0 FROM party
UNION ALL SELECT party_id, parent, tenant, 1 FROM party WHERE parent IS NOT NULL
UNION ALL SELECT party, 'party_root', 'party_root', 2 FROM above;
INSERT INTO account
SELECT 'acc_' || lpad(p::text, 26, '0'), 'main', 'wallet/' || p, party, 'wallet', 'USD', :start FROM above;

INSERT INTO movement
SELECT 'acc_' || lpad(m.payee::text, 26, '0'), m.at + k.step * interval '1 ms', m.n * 3 + k.step,
       'trf_' || m.n || '_' || k.step, k.kind, 'main', 'USD', k.posted, k.held, k.flow,
       'acc_clearing', 'jrn_' || m.n, k.prefix || m.n, k.kind, m.at,
       jsonb_build_object('who', jsonb_build_array('svc:feed', 'party_c7'),
           'where', jsonb_build_array('api', 'DE'),
           'why', jsonb_build_array('rebates', m.event, 'Rebate for the quarter')),
       'event-' || m.n || '-' || k.step
FROM payment m CROSS JOIN (VALUES
    (0, 'journal', 1000, 0, 'received', 'pin_'), (1, 'hold', 0, 900, 'paid', 'po_'),
    (2, 'capture', -900, -900, 'paid', 'po_'), (3, 'journal', -10, 0, 'moved', 'pin_')
) k (step, kind, posted, held, flow, prefix);
INSERT INTO hour
SELECT account, date_trunc('hour', at, 'UTC'), currency, sum(posted), sum(held) FROM movement GROUP BY 1, 2, 3;
INSERT INTO day
SELECT account, date_trunc('day', at, 'UTC'), currency, sum(posted), sum(held) FROM movement GROUP BY 1, 2, 3;
INSERT INTO minute
SELECT account, date_trunc('minute', at, 'UTC'), currency, sum(posted), sum(held) FROM movement GROUP BY 1, 2, 3;
INSERT INTO balance
SELECT m.account, m.currency, max(a.owner), sum(m.posted), sum(m.held),
       sum(m.posted) FILTER (WHERE m.flow = 'received'), -sum(m.posted) FILTER (WHERE m.flow = 'paid'), 0
FROM movement m JOIN account a ON a.account_id = m.account GROUP BY 1, 2;
INSERT INTO owned
SELECT owner, currency, sum(posted), sum(held), sum(received), sum(paid), sum(committed) FROM balance GROUP BY 1, 2;
UPDATE owned o SET budgeted = 9000 * i.n, reserved = 200 * i.n, used = 300 * i.n
FROM (SELECT party, count(*) AS n FROM item GROUP BY 1) i WHERE o.owner = i.party AND o.currency = 'USD';
INSERT INTO total
SELECT d.ancestor, o.currency, 'party_root', sum(posted), sum(held), sum(received), sum(paid), sum(committed),
       sum(budgeted), sum(reserved), sum(used)
FROM owned o JOIN descent d ON d.party = o.owner GROUP BY 1, 2
UNION ALL
SELECT '*', currency, '*', sum(posted), sum(held), sum(received), sum(paid), sum(committed),
       sum(budgeted), sum(reserved), sum(used)
FROM owned GROUP BY 2;

INSERT INTO pay_in
SELECT 'pin_' || n, 'corr-' || n, 'cards', 'ext-' || n, 'USD', 1000, 'party_c' || payee % 100,
       'party_p' || payee, at, 1, 'allocated', 3, at
FROM payment;
INSERT INTO payout
SELECT 'po_' || n, 'pin_' || n, 'corr-' || n, 'party_p' || payee, 'party_c' || payee % 100,
       'acc_' || lpad(payee::text, 26, '0'), 'USD', 900, 4,
       CASE WHEN waits THEN 'claimable' ELSE 'paid' END, at, 'wallet', NULL,
       CASE WHEN waits THEN 'payee' END
FROM payment;
INSERT INTO payment_key SELECT 'jrn_' || n, 'pin_' || n, false, at FROM payment
UNION ALL SELECT 'event:' || event, 'pin_' || n, true, at FROM payment;
INSERT INTO hop
SELECT 'event-' || m.n || '-' || k.n, k.prefix || m.n, 'corr-' || m.n, NULL, k.type, k.topic, k.service,
       m.at, m.at + k.n * interval '1 s',
       jsonb_build_object('who', jsonb_build_array('svc:feed', 'party_c7'), 'state', 'paid',
           'why', jsonb_build_array('rebates', m.event, 'Rebate for the quarter'))
FROM payment m CROSS JOIN (VALUES
    (0, 'pin_', 'funding.pay_in.received.v1', 'funding.pay_in.v1', 'funding'),
    (1, 'pin_', 'ledger.journal.posted.v1', 'ledger.journals.v1', 'ledger'),
    (2, 'pin_', 'funding.pay_in.allocated.v1', 'funding.pay_in.v1', 'funding'),
    (3, 'po_', 'payouts.payout.changed.v1', 'payouts.payout.v1', 'payouts')
) k (n, prefix, type, topic, service);

-- A thing by its kind and payment. Versions of what a program is bound by are all under the first one.
CREATE TEMP TABLE thing AS
SELECT k.kind, i.n, k.kind || '_' || i.n AS subject, k.parts, i.party, i.company, i.at,
       jsonb_build_object(k.kind || '_id', k.kind || '_' || i.n, 'program_id', 'program_' || i.n,
           'state', 'open', 'owner', i.party, 'company', i.company, 'pay_in_id', 'pin_' || i.n,
           'amount', jsonb_build_object('currency', 'USD', 'amount', '10.00'),
           'who', jsonb_build_array('svc:feed', i.company), 'where', jsonb_build_array('api', 'DE'),
           'why', jsonb_build_array('rebates', 'campaign', 'Rebate for the quarter')) AS told
FROM item i CROSS JOIN (VALUES
    ('receivable', 2), ('agreement', 1), ('claim', 2), ('designation', 1), ('charge', 1),
    ('expectation', 2), ('manual_entry', 2), ('rule', 2), ('program', 1), ('budget', 1),
    ('payable', 1), ('program_payment', 1), ('budget_claim', 1), ('connection', 1), ('funding_detail', 1),
    ('grant', 1)
) k (kind, parts);
INSERT INTO record
SELECT kind, subject, part, NULL, lpad(part::text, 20, '0'), at,
       CASE WHEN kind = 'budget' THEN told || jsonb_build_object('path', '[]'::jsonb,
           'limit', jsonb_build_object('currency', 'USD', 'amount', '100.00'),
           'allocated', jsonb_build_object('currency', 'USD', 'amount', '10.00'),
           'reserved', jsonb_build_object('currency', 'USD', 'amount', '2.00'),
           'used', jsonb_build_object('currency', 'USD', 'amount', '3.00')) ELSE told END
FROM thing CROSS JOIN LATERAL generate_series(1, parts) part
UNION ALL
SELECT k.kind, 'program_5:' || n || k.kind, 1, 'program_5', lpad(n::text, 20, '0'), at,
       jsonb_build_object('program_id', 'program_5', 'program', 'rebates', 'version', n)
FROM item CROSS JOIN (VALUES ('policy'), ('fees'), ('funding_order')) k (kind);
INSERT INTO hop
SELECT 'event-' || subject, 'pin_' || n, 'corr-' || n, NULL, 'funding.charge.taken.v1', 'funding.rules.v1',
       'funding', at, at, told, subject
FROM thing WHERE kind = 'charge';
INSERT INTO budget SELECT subject, 1, 9000, 200, 300 FROM thing WHERE kind = 'budget';
INSERT INTO tier SELECT subject, 200, 300 FROM thing WHERE kind = 'budget';
INSERT INTO belonging
SELECT subject, 'program_' || n, kind, at FROM thing
WHERE kind IN ('budget', 'payable', 'program_payment', 'budget_claim');
INSERT INTO keeper
SELECT subject, CASE WHEN kind = 'program' THEN company ELSE party END FROM thing
WHERE kind IN ('program', 'budget');

INSERT INTO involvement
SELECT account_id, owner, 'wallet', opened_at FROM account
UNION ALL SELECT party_id, party_id, 'party', registered_at FROM party;
INSERT INTO involvement
SELECT k.prefix || m.n, o.party, k.kind, m.at
FROM payment m
CROSS JOIN (VALUES ('pin_', 'pay_in'), ('po_', 'payout')) k (prefix, kind)
CROSS JOIN LATERAL (VALUES ('party_p' || m.payee), ('party_c' || m.payee % 100)) o (party);
INSERT INTO involvement
SELECT t.subject, o.party, t.kind, t.at
FROM thing t CROSS JOIN LATERAL (VALUES (t.party), (t.company)) o (party);
INSERT INTO sight
SELECT i.subject, d.ancestor, 'party_root', max(i.kind), min(i.at),
       bool_or(i.kind = 'payout' AND substr(i.subject, 4)::integer % 5000 = 1)
FROM involvement i JOIN descent d ON d.party = i.party WHERE i.kind IN ('pay_in', 'payout') GROUP BY 1, 2;
INSERT INTO sight
SELECT i.subject, d.ancestor, 'party_root', max(i.kind), min(i.at), false
FROM involvement i JOIN descent d ON d.party = i.party WHERE i.kind NOT IN ('pay_in', 'payout') GROUP BY 1, 2;
INSERT INTO sight
SELECT subject, '*', '*', max(kind), min(at),
       bool_or(kind = 'payout' AND substr(subject, 4)::integer % 5000 = 1)
FROM involvement WHERE kind IN ('pay_in', 'payout') GROUP BY 1;
INSERT INTO sight
SELECT subject, '*', '*', max(kind), min(at), false
FROM involvement WHERE kind NOT IN ('pay_in', 'payout') GROUP BY 1;
