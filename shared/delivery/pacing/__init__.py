"""Pacing over all instances: a rate for each mailbox, and so many requests in flight for the whole app.

pacer   what the courier uses
gcra    the rate as arithmetic
reservations   times at which mails may go, taken in blocks
board   the shared rows of the slots and of what Graph has blocked, as last seen
slots   the leases of this instance, and who waits for one
store, table   where the rows are
"""
