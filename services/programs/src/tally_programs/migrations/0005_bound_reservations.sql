-- What a payment or an undecided claim has set aside is nobody else's to use or release.

ALTER TABLE reservation ADD COLUMN bound boolean NOT NULL DEFAULT false;
