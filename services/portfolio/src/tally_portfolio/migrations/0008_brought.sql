-- What happened in the installation a tenant came from is shown as it was there, and marked.
ALTER TABLE movement ADD COLUMN brought boolean NOT NULL DEFAULT false;
