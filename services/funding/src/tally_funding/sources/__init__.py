"""Money of every source: card webhooks, entries by hand; and the answers all commands get."""
