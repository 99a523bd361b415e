"""How fast mails may go: one row for each mailbox, and one for each caller, shared by all instances.

limits      what the engine and the functions call
lane        one row as this process knows it, and how a block is taken from it
plan        what the callers who wait for a row get of it; pure, as are
schedule    a rate (GCRA), and
window      a limit for a stretch of time
row         what a row is, and where the rows are
"""
