"""Derivations of the papers in steps that can be run: closed forms, estimates, and checks of both sides."""
