"""What is particular to a paper: its tables, claims and figures."""
