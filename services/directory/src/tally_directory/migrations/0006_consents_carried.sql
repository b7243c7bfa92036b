-- Consents that a payee took over from one that was merged into it, as they are told: the next merge goes
-- by them, and by no consent that was not taken over. Those taken over before have no row: they open what
-- they opened, and are not taken over once more.
ALTER TABLE consent ADD COLUMN carried boolean NOT NULL DEFAULT false;
