"""How fast mails may go: one row for each mailbox and for each caller, shared by all instances."""
