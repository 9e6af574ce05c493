"""What was run: a spec and a request come in, Records in a store go out.

`protocol` says how users are split and scored, `plan` declares tables, `execute` trains what is missing,
`store` keeps the Records, `versions` names what made them.
"""
