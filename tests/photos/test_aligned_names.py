"""Files of aligned faces: safe names, one of its own for every photo, people never merged."""

from photos.aligned_names import stems
from photos.find import Photo


def names(*paths: str) -> list[str]:
    return stems([Photo(path, 1, 1) for path in paths])


def test_plain_names_stay_as_they_are():
    assert names("0000045/001.jpg", "Ann_Veneman/Ann_Veneman_0001.jpg", "x.png") == [
        "0000045/001",
        "Ann_Veneman/Ann_Veneman_0001",
        "x",
    ]


def test_folders_below_the_person_s_become_part_of_the_name():
    assert names("p/video/1.jpg") == ["p/video_1"]


def test_photos_and_people_that_would_be_alike_stay_apart():
    alike = [
        "A B/1.jpg",
        "A-B/1.jpg",
        "a-b/1.jpg",
        "p/1.jpg",
        "p/1.png",
        "p/v/2.jpg",
        "p/v_2.jpg",
        "q/X.jpg",
        "q/x.jpg",
    ]
    made = names(*alike)
    assert len({name.casefold() for name in made}) == len(alike)
    assert len({name.split("/")[0].casefold() for name in made}) == 5
    # Whoever else is there, a name that is alone does not change.
    assert names("p/1.jpg", "r/1.jpg")[1] == names("r/1.jpg")[0]


def test_nobody_s_folder_takes_the_place_of_our_files():
    for name in ("faces.parquet", "aligner.json", "..", ".unfinished"):
        (made,) = names(f"{name}/1.jpg")
        assert made.split("/")[0] not in ("faces.parquet", "aligner.json", "..", ".unfinished", "")


def test_names_that_a_terminal_would_obey_are_made_safe():
    (made,) = names("a\x1b[31m/new\nline.jpg")
    assert made.isprintable()
    assert "\n" not in made
