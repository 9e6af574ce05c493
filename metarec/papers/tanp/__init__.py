"""TaNP: what is particular to it."""
