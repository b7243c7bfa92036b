"""Taking one tenant out of an installation, whole, and bringing it into another (F62)."""
