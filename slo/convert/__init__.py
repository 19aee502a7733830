"""Definitions of other tools, read and written: one file for each format, `from_…` for what comes and `to_…` for what goes.

A format's file turns documents into drafts of our own definition, with a note wherever something changed or was dropped;
nothing here reads or writes a file.
"""
