"""CMML: what is particular to it."""
