"""Money that goes back: by whom a return is borne, and what is owed where a wallet has spent it."""
