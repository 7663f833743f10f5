"""Random specifications of every system through all that a user would do with them: `python -m tests.fuzz --help`.

specifications -> a table of plain numbers and texts from a seed, awkward values included
check          -> what must hold of it: right, or refused on purpose
workers        -> many of them in processes that may hang, leak and crash without harm
"""
