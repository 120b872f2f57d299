"""Faces, views, backbones, weights and configuration: what all three stages share."""
