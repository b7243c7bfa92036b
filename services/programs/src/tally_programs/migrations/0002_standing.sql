-- Since when payments and claims stand, for whoever watches how long they do.

ALTER TABLE payment ADD COLUMN changed_at timestamptz;
ALTER TABLE claim ADD COLUMN changed_at timestamptz;
