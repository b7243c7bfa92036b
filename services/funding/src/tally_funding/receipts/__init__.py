"""Whether a payee may receive: the gate asked of money that comes in, and money that waits for it."""
