"""What all stages share: rooms for configuration, faces, models, backbones and writers, and the corridor between them.

The files beside the rooms are how every command begins (cli, plan, launch), computes (runtime, processes), says how far
it is (progress, output), reads and writes (documents, files), draws (figures), and fails (errors, failures).
"""
