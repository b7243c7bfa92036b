"""Identity: tasks, levels derived from them, and tables of gates and limits."""
