"""A store on Citus: one URL, whose server spreads the rows over its workers."""
