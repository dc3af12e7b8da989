"""Servo buses, drivers, virtual servos, watchdog and self-test."""
