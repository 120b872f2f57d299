"""Every claim about GPUs as a row that measures it and says OK, BAD or "needs a card": `make gpu-check`.

    python -m benchmarks.gpu                          all rows; the table is written, and its path printed
    python -m benchmarks.gpu --rows heads --rows stops
    python -m benchmarks.gpu --list

`rows.py` is the list, `runner.py` runs one row in a process and a folder of its own, `table.py` writes what came out.
A row is a function of a `Place` that yields `Finding`s, in one of the other files.
"""
