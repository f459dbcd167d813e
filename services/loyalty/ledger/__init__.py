"""The ledger: what was asked for goes in, what was done or refused comes out, and both are written for ever.

    Writer.post ──▶ post(session, requests) ──▶ load ──▶ decide ──▶ save     one transaction for a whole batch
                                              (rows)   (no database)  (rows)

A batch is posted in four steps, each explained where it stands: its accounts are locked in one order (`load`), what it
may need of them is read under the lock, every request is decided one after the other on that copy (`decide`, and the
nouns: `earnings`, `redemptions`, `holds`, `transfers`, `due`), and all that changed is written by one statement a table
(`save`). So requests of one batch see each other as if each had had the database to itself, an answer is given only
after the commit, and what would be done can be said without doing it.

Two layers that must agree: the journal (`operation`: legs that sum to zero) and the lots (`lot`, `lot_move`: which of
the points). Only `Entry.move` changes either, and it changes both.
"""
