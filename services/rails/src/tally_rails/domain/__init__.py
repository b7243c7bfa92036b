"""Instruments and attempts: what may happen to them, decided without I/O."""
