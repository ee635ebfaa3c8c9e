"""The report of a classifier's scores: a value, `report.json` and a page to read."""
