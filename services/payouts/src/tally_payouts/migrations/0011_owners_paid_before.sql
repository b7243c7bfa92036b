-- Which party a reference names was kept only where gates were asked: what else was paid to it counted
-- against no limit. Whoever is asked about again is named, held or not.
INSERT INTO exit_due (owner, at)
SELECT DISTINCT owner, now() FROM payout
WHERE owner !~ '^(event:|contact:|restricted:|party_[0-7][0-9a-hjkmnp-tv-z]{25}$)'
ON CONFLICT DO NOTHING;
