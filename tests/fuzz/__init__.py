"""Damaged and hostile files for every reader: ``python -m tests.fuzz`` makes them, loads them and counts."""
