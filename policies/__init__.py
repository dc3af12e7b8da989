"""Policies, the training loop and the evaluator."""
