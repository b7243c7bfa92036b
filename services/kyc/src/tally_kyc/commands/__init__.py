"""What commands and facts of other services lead to, one at a time."""
