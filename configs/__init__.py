"""Hydra presets and composition; options themselves come from code."""
