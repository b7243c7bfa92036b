"""SQL of the tables every rail shares; set-based, one function per question."""
