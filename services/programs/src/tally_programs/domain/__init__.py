"""What programs decide: pure, in exact amounts."""
