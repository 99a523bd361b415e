"""How fast mails may go: one row a mailbox, and one a caller, which all instances share.

limits      what the engine and the functions call
lane        one row as this process knows it: how times are taken from it, in blocks, by one conditional write
schedule    a rate as arithmetic (GCRA)
window      so much in a stretch of time: recipients of a day, bytes of five minutes
row, table  what a row is, and where the rows are
"""
