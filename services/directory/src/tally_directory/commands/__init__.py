"""One function for each command: what is asked, decided by the domain, told as facts."""
