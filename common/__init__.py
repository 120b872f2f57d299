"""What all stages share: rooms for configuration, faces, models and backbones, and the corridor between them.

The files beside the rooms are how every command begins (cli, plan), computes (runtime), says how far it is (progress,
output), writes (files, locks), and fails (errors, failures).
"""
