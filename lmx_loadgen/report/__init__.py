"""What people look at: the table in the terminal, the live progress lines, and the page.

Everything here is a view of `result.json` and of the request lines of `events.jsonl`, taken as plain dicts.
Nothing is measured here. Model names, answers, reasons and versions are words of a server under test and are
treated as hostile: `sanitize` makes them printable, `markup` escapes them, `sanitize.plotly_text` keeps them literal
in charts.
"""
