"""What verbs return, and the files it is kept in."""
