"""What distilling with and without a cache costs in device hours, and the cache on the disk: arithmetic on two rates,
measured on your device.

    python benchmarks/cost.py --teacher-rate 1200 --student-rate 3000
    python benchmarks/cost.py --teacher-rate 600 --student-rate 3000 --views 2 --epochs 26 --students 5

--teacher-rate: faces/s of the teacher's forward pass, as `make cache-teacher` prints them. --student-rate: faces/s of a
training step from the cache, as `make distill` prints them. Online, every step of every student runs the teacher on its
batch; cached, the teacher runs once over every view. Faces wait for nobody, and several devices divide all alike.
"""

import click

from cache.format import Layout
from common.plan import size_text

MS1MV2, PEOPLE, WIDTH = 5_822_653, 85_742, 512


@click.command()
@click.option("--teacher-rate", type=float, required=True, help="Teacher forward, faces/s of one device.")
@click.option(
    "--student-rate", type=float, required=True, help="Training step without a teacher, faces/s of one device."
)
@click.option("--faces", default=MS1MV2, show_default=True)
@click.option("--epochs", default=26, show_default=True)
@click.option("--views", default=2, show_default=True, help="Views in the cache.")
@click.option("--students", default=5, show_default=True, help="Students distilled from one cache.")
def main(teacher_rate: float, student_rate: float, faces: int, epochs: int, views: int, students: int) -> None:
    teacher, student = faces / teacher_rate / 3600, faces / student_rate / 3600
    print(
        f"{faces:,} faces, {epochs} epochs, {views} views; one pass: teacher {teacher:.2f} h, student {student:.2f} h"
    )
    sizes = (
        f"{size_text(Layout(views, faces, WIDTH, PEOPLE, dtype, 16384, 1024).bytes_on_disk)} ({dtype})"
        for dtype in ("float16", "int8")
    )
    print(f"the cache on the disk: {' or '.join(sizes)}")
    for number in sorted({1, students}):
        online = number * epochs * (teacher + student)
        cached = views * teacher + number * epochs * student
        print(
            f"{number} student(s): online {online:,.1f} h, cached {cached:,.1f} h "
            f"(of which the cache {views * teacher:,.1f} h), ratio {online / cached:.2f}"
        )


if __name__ == "__main__":
    main()
