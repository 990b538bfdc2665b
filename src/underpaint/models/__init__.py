"""Checkpoints: what they are (``catalog``, no torch), and one adapter a family that runs them."""
