"""What commands were answered: the same id gets the same answer, and never a second effect."""
