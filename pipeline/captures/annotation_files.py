"""Sets of annotated people: pictures, and files that say something of the people in them.

One person is one frame. Its number is the person's rank in the set, from 0: the ids in such files reach beyond
what a frame's number may be, or are missing. Every reader says in its `open_` function what the rank goes by.
"""

import glob
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.captures.annotation import Annotation
from pipeline.captures.capture import Frame
from pipeline.captures.images import read_picture
from pipeline.errors import InputError

Shape = tuple[int, int]
Kind = Literal["coco", "openpose", "mpii", "h36m", "points", "results", "iuv"]

KEYPOINT_KINDS = ("coco", "openpose", "mpii", "h36m")
DENSEPOSE_KINDS = ("points", "results", "iuv")
NAME, IMAGE_ID = "{name}", "{id}"


class AnnotationFiles(BaseModel):
    """Where a set keeps its annotations and its pictures; every path is relative to the capture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = Field(
        description="What wrote the annotations: coco, openpose, mpii or h36m of key points; points, results or "
        "iuv of DensePose."
    )
    file: str = Field(
        min_length=1,
        description="The annotation file; of openpose and iuv, which have one a picture, a pattern with {name}.",
    )
    images: str = Field(
        default=".",
        description="The folder of the pictures that the annotation file names. Where it names none: of openpose "
        "and iuv their pattern with the same {name}; of results their pattern with {id}, COCO's image id in 12 "
        "digits.",
    )
    boxes: str | None = Field(
        default=None,
        description='Of openpose: pattern of JSON files {"bbox": [x, y, width, height]} with the same {name}, '
        "for pictures of one person. Without it, the box is that of the confident key points.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        many = self.kind in ("openpose", "iuv")
        if self.boxes is not None and self.kind != "openpose":
            raise ValueError(f"boxes belongs to kind openpose, not to {self.kind}")
        if self.kind == "results" and IMAGE_ID not in self.images:
            raise ValueError(f"images must be a pattern with {{id}} for results, is {self.images!r}")
        told = [text for text in (self.file, self.images, self.boxes) if text is not None]
        counts = {text.count(NAME) for text in told}
        if (not many and counts != {0}) or (many and (len(counts) > 1 or max(counts) > 1)):
            wanted = "{name} once in each, or in none" if many else "no {name}"
            raise ValueError(f"{', '.join(map(repr, told))} must hold {wanted} for {self.kind}")
        if self.kind == "iuv" and not self.file.endswith("_IUV.png"):
            raise ValueError(f"file must end in _IUV.png, beside which _INDS.png lies, is {self.file!r}")
        return self


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Said:
    """What a set says of one person: the annotation, and the outline and camera where it brings them."""

    annotation: Annotation
    mask: NDArray[np.bool_] | None = None
    K: NDArray[np.float64] | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Person:
    """One person of a set.

    Attributes:
        image: the picture; it may be missing.
        others: annotation files of this person or picture alone.
        say: from the picture's (height, width) to what the set says; raises `InputError`.
    """

    image: Path
    say: Callable[[Shape], Said]
    others: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AnnotatedPeople:
    """An open set of annotated people; the `Capture` of `keypoints` and `densepose-coco`.

    Attributes:
        shared: the annotation file of all.
    """

    root: Path
    shared: tuple[Path, ...]
    people: tuple[Person, ...]

    @property
    def frames(self) -> list[int]:
        return list(range(len(self.people)))

    def files(self, frames: list[int]) -> list[Path]:
        own = (path for frame in frames for path in (*self._person(frame).others, self._person(frame).image))
        return list(dict.fromkeys([*self.shared, *own]))

    def read(self, frame: int) -> Frame:
        """Decode one person's picture and annotation; depth and pose are None, since there are none."""
        person = self._person(frame)
        image = read_picture(person.image)
        height, width = image.shape[:2]
        said = person.say((height, width))
        return Frame(
            frame=frame,
            timestamp_s=-1.0,
            image=image,
            depth_m=None,
            K=said.K,
            world_from_cam=None,
            mask=said.mask,
            annotation=said.annotation,
        )

    def _person(self, frame: int) -> Person:
        if not 0 <= frame < len(self.people):
            raise InputError(
                "annotation-missing",
                f"{self.root}: frame {frame} must be in the set, which holds {len(self.people)} people, is not. "
                "Correct the selection of frames.",
            )
        return self.people[frame]


def annotated_people(root: Path, file: str, people: list[Person]) -> AnnotatedPeople:
    """Bundle the people of a set whose one annotation file is `file`, or a pattern where it holds {name}.

    Raises:
        InputError: no-frames, where there is nobody.
    """
    if not people:
        raise InputError(
            "no-frames",
            f"{root / file}: the set must hold an annotated person, holds none. Correct the manifest's file.",
        )
    shared = () if NAME in file else (root / file,)
    return AnnotatedPeople(root=root, shared=shared, people=tuple(people))


def check_folder(path: Path) -> None:
    """Refuse a set whose folder is not there.

    Raises:
        InputError: capture-missing.
    """
    if not path.is_dir():
        found = "a file" if path.exists() else "missing"
        raise InputError(
            "capture-missing",
            f"{path}: the set must be a folder, is {found}. Correct the manifest's path.",
        )


def matching_names(root: Path, pattern: str) -> list[str]:
    """What {name} stands for in each file that matches a pattern, sorted; [""] for a pattern without it."""
    if NAME not in pattern:
        return [""]
    before, after = pattern.split(NAME)
    regex = re.compile(re.escape(before) + "([^/]+)" + re.escape(after))
    found = glob.glob(glob.escape(before) + "*" + glob.escape(after), root_dir=root)
    return sorted(match.group(1) for path in found if (match := regex.fullmatch(path)))


def picture_path(root: Path, images: str, name: object, *, where: str) -> Path:
    """The path of a picture that an annotation names, below the folder of pictures.

    Raises:
        InputError: annotation-malformed, for what is no name of a file inside that folder.
    """
    inside = isinstance(name, str) and name.isprintable() and PurePosixPath(name).name
    if not inside or PurePosixPath(str(name)).is_absolute() or ".." in PurePosixPath(str(name)).parts:
        raise malformed(where, f"the picture must be a file inside the folder of pictures, is {shown(name)}")
    return root / images / str(name)


def picture_of_id(root: Path, pattern: str, image_id: object, *, where: str) -> Path:
    """The path of COCO's picture of an id, which is written in 12 digits.

    Raises:
        InputError: annotation-malformed, for what is no id.
    """
    if type(image_id) is not int or not 0 <= image_id < 10**12:
        raise malformed(
            where, f"image_id must be a whole number from 0 and of 12 digits, is {shown(image_id)}"
        )
    return root / pattern.replace(IMAGE_ID, f"{image_id:012d}")


def malformed(where: str, problem: str) -> InputError:
    """The error of an annotation that does not say what it must."""
    return InputError("annotation-malformed", f"{where}: {problem}. Mend the annotation, or leave it out.")


def shown(value: object) -> str:
    """A value as far as it fits into a message."""
    text = repr(value[:40] if isinstance(value, str | list) else value) if value is not None else "missing"
    return text if len(text) <= 60 else f"{text[:57]}..."
