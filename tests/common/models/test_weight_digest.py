"""A model's digest covers every byte it is made of, and is that of the bytes that were loaded."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest

from cache.build import build
from cache.format.ledger import read_runtimes
from cache.reader import TeacherCache
from common.config import ModelConfig
from common.errors import CacheError, ModelError
from common.faces import open_faces
from common.models import face_model as models
from common.models.face_model import open_model
from common.models.weight_digest import digest_of, external_files
from tests.common.models.test_models import onnx_file
from tests.tiny import experiment

FACES = np.random.default_rng(7).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)


def apart(folder: Path, name: str = "graph.onnx") -> Path:
    """A small face model whose tensors lie in files beside it."""
    whole = onnx.load(onnx_file(folder / "whole.onnx"))
    path = folder / name
    onnx.save(whole, path, save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0)
    return path


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_one_file_has_the_digest_its_publisher_states(tmp_path: Path):
    path = onnx_file(tmp_path / "whole.onnx")
    assert digest_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert external_files(path) == []


def test_every_external_file_is_found_and_every_byte_of_each_counts(tmp_path: Path):
    path = apart(tmp_path)
    files = external_files(path)
    assert {*files, "whole.onnx", "graph.onnx"} == {file.name for file in tmp_path.iterdir()}
    assert len(files) > 3
    seen = {digest_of(path)}
    for name in (*files, path.name):
        before = (tmp_path / name).read_bytes()
        if name == path.name:
            model = onnx.load(path, load_external_data=False)
            model.doc_string = "another"
            path.write_bytes(model.SerializeToString())
        else:
            flip(tmp_path / name)
        seen.add(digest_of(path))
        (tmp_path / name).write_bytes(before)
    assert len(seen) == len(files) + 2
    first, second, *_ = files
    one, two = (tmp_path / first).read_bytes(), (tmp_path / second).read_bytes()
    (tmp_path / first).write_bytes(two)
    (tmp_path / second).write_bytes(one)
    assert digest_of(path) not in seen, "exchanged files are other weights"


def test_tensors_in_attributes_and_subgraphs_are_found(tmp_path: Path):
    def constant(location: str) -> onnx.TensorProto:
        tensor = onnx.numpy_helper.from_array(np.ones(4, np.float32), location)
        onnx.external_data_helper.set_external_data(tensor, location)
        return tensor

    inner = onnx.helper.make_graph(
        [onnx.helper.make_node("Constant", [], ["y"], value=constant("in_subgraph"))], "inner", [], []
    )
    nodes = [
        onnx.helper.make_node("Constant", [], ["c"], value=constant("in_attribute")),
        onnx.helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner),
    ]
    graph = onnx.helper.make_graph(nodes, "outer", [], [], [constant("initializer")])
    (tmp_path / "m.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    assert external_files(tmp_path / "m.onnx") == ["in_attribute", "in_subgraph", "initializer"]


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/passwd", "a/../../b"])
def test_weights_outside_the_folder_are_refused(tmp_path: Path, location: str):
    path = apart(tmp_path)
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"graph.onnx: keeps tensors in .*, outside its folder"):
        open_model(ModelConfig(weights="graph.onnx"), tmp_path)


def test_a_missing_external_file_is_named(tmp_path: Path):
    path = apart(tmp_path)
    lost = external_files(path)[0]
    (tmp_path / lost).unlink()
    with pytest.raises(ModelError, match=f"{lost}: weights cannot be read"):
        open_model(ModelConfig(weights="graph.onnx"), tmp_path)


def test_a_model_in_several_files_embeds_like_the_one_in_one_file(tmp_path: Path):
    apart(tmp_path)
    several, one = (open_model(ModelConfig(weights=w), tmp_path, threads=1) for w in ("graph.onnx", "whole.onnx"))
    assert np.array_equal(several.embed(FACES), one.embed(FACES))


def test_weights_exchanged_while_they_are_loaded_are_noticed(tmp_path: Path, monkeypatch):
    path = apart(tmp_path)
    real = models.OnnxNetwork

    def exchange(*args):
        network = real(*args)
        flip(tmp_path / external_files(path)[0])
        return network

    monkeypatch.setattr(models, "OnnxNetwork", exchange)
    with pytest.raises(ModelError, match=r"graph.onnx: the weights changed while they were in use: sha256 was \w+, is"):
        open_model(ModelConfig(weights="graph.onnx"), tmp_path)


def test_external_weights_exchanged_between_two_halves_of_a_build_are_refused(world: Path, monkeypatch):
    data = world / "data"
    path = apart(data)
    config = experiment(
        teacher="graph.onnx",
        faces={"fit": "resize", "size": [8, 8]},
        student={"backbone": "mobilefacenet_0.25", "embedding_size": 5},
    )
    teacher = open_model(config.teacher, data, threads=1)
    monkeypatch.setattr(teacher, "embed", stops_after(8, teacher.embed))
    with pytest.raises(KeyboardInterrupt):
        build(config, open_faces(config, data), teacher, threads=1, quiet=True)
    flip(data / external_files(path)[0])
    with pytest.raises(CacheError, match=r"teacher.weights_sha256 is '\w+' in the cache and '\w+' now"):
        build(config, open_faces(config, data), open_model(config.teacher, data, threads=1), threads=1, quiet=True)


def test_weights_exchanged_under_a_build_are_noticed_before_the_seal_and_nothing_is_lost(world: Path, monkeypatch):
    data = world / "data"
    path = apart(data)
    lost = data / external_files(path)[0]
    config = experiment(
        teacher="graph.onnx",
        faces={"fit": "resize", "size": [8, 8]},
        student={"backbone": "mobilefacenet_0.25", "embedding_size": 5},
    )
    teacher = open_model(config.teacher, data, threads=1)
    flip(lost)
    with pytest.raises(ModelError, match="put the first ones back and run again"):
        build(config, open_faces(config, data), teacher, threads=1, quiet=True)
    assert len(read_runtimes(Path("caches/tiny"))) == 10
    with pytest.raises(CacheError, match="not finished"):
        TeacherCache("caches/tiny")
    flip(lost)
    again = open_model(config.teacher, data, threads=1)
    monkeypatch.setattr(again, "embed", lambda faces: pytest.fail("computed again"))
    TeacherCache(build(config, open_faces(config, data), again, threads=1, quiet=True))


def stops_after(calls: int, embed):
    left = iter(range(calls))

    def counted(faces):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return embed(faces)

    return counted
