"""The command line: one file per noun. It parses, calls one operation, shows the result.

`main.py` is the door, `face.py` what every command gets, `output.py` the one place where results
and errors become text, JSON and an exit code.
"""
