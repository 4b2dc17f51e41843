"""The HTML report of a dataset build: `data` says what it shows, `plots` draws, `page` writes it."""
