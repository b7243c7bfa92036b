"""What the directory decides, as functions of what it knows; see README.md."""
