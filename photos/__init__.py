"""Stage zero: raw photos found, aligned and packed into data sets; photos embedded and compared."""
