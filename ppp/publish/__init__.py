"""The ledger told as static files: current.json, pages, feeds, Datasette."""
