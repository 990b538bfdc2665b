"""Sweeps: every combination of some values, rendered, laid out and compared.

``axes``, ``grid`` and ``planning`` decide what will run and import no torch; ``running`` runs it, and
``publishing`` leaves what people look at.
"""
