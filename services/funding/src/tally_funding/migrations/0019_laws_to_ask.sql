-- Whether by which law a clock runs is to be asked once more, of the root's country.
ALTER TABLE claimable_wallet ADD COLUMN ask_law boolean NOT NULL DEFAULT false;
