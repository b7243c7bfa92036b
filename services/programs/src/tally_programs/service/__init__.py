"""The use cases of programs: decide on a batch, save it at once, answer every command."""
