"""What a box office looks at: sales, door lists, donations. Records in, rows out: no module here makes a call."""
