"""Verified demonstrations: expert, engine, dataset."""
