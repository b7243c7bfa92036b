"""Every event and command, and the topic catalogue. See README.md."""
