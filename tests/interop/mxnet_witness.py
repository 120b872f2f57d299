"""The genuine mxnet as a witness. Runs in its own environment and imports nothing of this repository.

    mxnet_witness.py write SPEC REC IDX     write the records of SPEC (JSON) with mxnet
    mxnet_witness.py read REC IDX OUT       what mxnet reads, as JSON
    mxnet_witness.py rate REC IDX COUNT     faces decoded a second in random order, as JSON
    mxnet_witness.py opening REC IDX        seconds and memory to open, as JSON

Bytes stand in the JSON as hexadecimal digits, float32 labels as their four bytes.
"""

import hashlib
import json
import random
import sys
import time

import mxnet as mx
import numpy as np


def write(spec_path, rec_path, idx_path):
    with open(spec_path) as file:
        spec = json.load(file)
    writer = mx.recordio.MXIndexedRecordIO(idx_path, rec_path, "w")
    for record in spec:
        payload = bytes.fromhex(record["payload"])
        if record["labels"] is None:
            writer.write_idx(record["key"], payload)
            continue
        label = np.frombuffer(bytes.fromhex(record["labels"]), "<f4")
        if record["scalar"]:
            label = float(label[0])
        header = mx.recordio.IRHeader(0, label, record["id"], record["id2"])
        writer.write_idx(record["key"], mx.recordio.pack(header, payload))
    writer.close()


def read(rec_path, idx_path, out_path):
    reader = mx.recordio.MXIndexedRecordIO(idx_path, rec_path, "r")
    result = []
    for key in reader.keys:
        raw = reader.read_idx(key)
        seen = {"key": key, "raw": raw.hex()}
        if len(raw) >= 24:
            seen.update(image_record(raw))
        result.append(seen)
    with open(out_path, "w") as file:
        json.dump(result, file)


def image_record(raw):
    """What mxnet makes of a record with an image header, or nothing where it has none."""
    try:
        header, payload = mx.recordio.unpack(raw)
    except ValueError:
        return {}
    seen = {"flag": header.flag, "id": header.id, "id2": header.id2, "payload": bytes(payload).hex()}
    seen["labels"] = np.asarray(header.label, "<f4").tobytes().hex()
    if bytes(payload[:2]) == b"\xff\xd8":
        rgb = mx.image.imdecode(payload).asnumpy()
        seen["rgb_shape"] = rgb.shape
        seen["rgb_sha256"] = hashlib.sha256(rgb.tobytes()).hexdigest()
    return seen


def rate(rec_path, idx_path, count):
    """Read and decode `count` pictures in random order, one after the other."""
    reader = mx.recordio.MXIndexedRecordIO(idx_path, rec_path, "r")
    pictures = [key for key in sorted(reader.keys) if len(mx.recordio.unpack(reader.read_idx(key))[1])]
    keys = random.Random(0).sample(pictures, min(int(count), len(pictures)))
    started = time.perf_counter()
    for key in keys:
        _, payload = mx.recordio.unpack(reader.read_idx(key))
        mx.image.imdecode(payload).asnumpy()
    seconds = time.perf_counter() - started
    json.dump({"faces": len(keys), "faces_per_second": len(keys) / seconds}, sys.stdout)


def opening(rec_path, idx_path):
    """Seconds and MiB of memory that opening costs this process."""
    before = peak_mib()
    started, cpu = time.perf_counter(), time.process_time()
    reader = mx.recordio.MXIndexedRecordIO(idx_path, rec_path, "r")
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    json.dump({"keys": len(reader.keys), "seconds": seconds, "cpu": cpu, "mib": peak_mib() - before}, sys.stdout)


def peak_mib():
    # not ru_maxrss: a new process starts with that of its parent
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    commands = {"write": write, "read": read, "rate": rate, "opening": opening}
    commands[sys.argv[1]](*sys.argv[2:])
