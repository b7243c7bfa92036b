"""Escrow agreements: money that stands apart until a condition is met or time is up."""
