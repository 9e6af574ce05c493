"""Derivations of the papers in steps that can be run: closed forms, estimates, and checks of both sides.

`check` compares the two sides of a step, `verdict` turns numbers into the word for a claim, `page` and
`changed` run a page with wrong code on purpose. The other modules compute what the pages show.
"""
