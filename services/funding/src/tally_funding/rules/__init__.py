"""Allocation rules: read, checked, compiled, chosen and applied. See the service's README."""
