"""Randomised PyBullet worlds, their cameras and their tasks."""
