"""A student leaves the house: weights in files that others open without this repository's options, card, push."""
