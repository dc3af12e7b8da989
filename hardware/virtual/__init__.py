"""Servos that answer bytes on a pseudo-terminal as the real ones do."""
