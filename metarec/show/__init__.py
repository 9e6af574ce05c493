"""How it looks: HTML, the style of figures, tables, dots, sweeps, curves, headers.

Records and frames come in; pictures and HTML go out. Nothing here knows a paper, nothing trains.
"""
