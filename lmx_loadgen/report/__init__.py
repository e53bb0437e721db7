"""What people look at: the page, Markdown, CSV, PNG, and the terminal.

Everything here is a view of the models of a result, of its comparisons and of the records behind them; nothing is
measured or compared here. A table is declared once (`table`) and rendered for page, Markdown and terminal. Model names,
answers, reasons and versions are words of a server under test and are treated as hostile: `sanitize` makes them
printable, the templates escape them, `sanitize.plotly_text` keeps them literal in charts.
"""
