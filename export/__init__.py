"""A student leaves the house: files that others open without this repository, measured before they are called good.

exports/NAME/model.onnx, model.fp16.onnx, model.int8.onnx, measured.json, README.md
"""
