"""The command line: what the user types, and how it is answered.

The top layer; may import everything. Data goes to standard output, words for a reader to standard error.
Start with ``main.py``; ``run_command.py`` goes from names to a campaign.
"""
