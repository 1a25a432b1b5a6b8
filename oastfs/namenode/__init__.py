"""The namespace as a library of transactions, and the servers, jobs and checks around it."""
