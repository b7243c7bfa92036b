"""Pure decisions: nothing here waits, reads a clock or makes an id."""
