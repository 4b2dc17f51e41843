"""Every fault that is planted into a `kinect2` capture, and the wrong captures that nobody can tell."""

import kinect2_damage as damage
import numpy as np
from fault import Fault, garbled, truncated, without
from kinect2_scene import TALL_M, VIEW_PX_PER_DEPTH_PX, WALL_M

DEPTH, COLOR, MASK, POSE = "depth/{:06d}.png", "color/{:06d}.jpg", "mask/{:06d}.png", "pose/{:06d}.txt"
TIMES, CALIBRATION = "timestamps.csv", "calibration.json"


def of_file(name: str, done: str, write, reason: str) -> Fault:
    """One frame cannot be read."""
    return Fault(name, done, write, reason, code=3)


def of_capture(name: str, done: str, write, reason: str) -> Fault:
    """The capture cannot be opened."""
    return Fault(name, done, write, reason, shift=None, lost=0, code=3)


STREAMS = (
    Fault("dropped frame", "all files and the times of a frame are gone", damage.drop,
          "dropped-frames", shift=1, lost=0, value=1),
    Fault("many dropped frames", "three of twelve frames are gone", damage.drop_many,
          "dropped-frames", shift=None, lost=9, code=4, value=3 / 12,
          also=(("dropped-frames", -1), ("dropped-frames", 1), ("dropped-frames", 4))),
    of_file("dropped depth", "a depth file is gone", without(DEPTH), "depth-missing"),
    of_file("dropped colour", "a colour file and its time are gone", damage.drop_color, "color-missing"),
    of_file("dropped mask", "a mask is gone", without(MASK), "mask-missing"),
    of_file("dropped pose", "a pose is gone", without(POSE), "pose-missing"),
    Fault("duplicated frame", "depth, colour and mask are those of the frame before",
          damage.repeated("depth", "color", "mask"), "repeated-frame", value=1),
    Fault("frozen depth", "depth is that of the frame before", damage.repeated("depth"), "frozen-depth", value=1),
    Fault("frozen colour", "colour is that of the frame before", damage.repeated("color"), "frozen-color", value=1),
    Fault("swapped times", "two neighbours have each other's times", damage.retimed(damage.swap), "clock-reset",
          value=-1 / 30),
    Fault("clock reset", "from a frame on, all times are 1000 s less", damage.retimed(damage.reset_clock),
          "clock-reset", value=-1000),
    Fault("clock skew", "colour of a frame is 50 ms late", damage.retimed(damage.skew), "clock-skew",
          value=0.05),
    Fault("clocks apart", "colour is 19 ms late throughout", damage.retimed(damage.offset_clocks),
          "clock-offset", shift=None, lost=12, code=4, value=0.019),
    of_capture("missing times", "the table of times is gone", without(TIMES), "timestamps-missing"),
    of_capture("cut table of times", "the table ends in the middle of a row", damage.cut_times,
               "timestamps-malformed"),
    of_file("missing time", "the table lacks a frame", damage.untimed, "timestamps-missing"),
    of_capture("time given twice", "the table has a row twice", damage.time_twice, "duplicate-frame"),
)  # fmt: skip

FILES = (
    of_file("zero depth", "all depth of a frame is 0", damage.changed("depth", np.zeros_like), "empty-depth"),
    Fault("hardly any depth", "all depth of a frame but a corner is 0", damage.changed("depth", damage.corner),
          "too-little-depth"),
    of_file("truncated depth", "a depth file ends in its middle", truncated(DEPTH), "unreadable-depth"),
    of_file("garbled depth", "half of a depth file is noise", garbled(DEPTH), "unreadable-depth"),
    of_file("truncated colour", "a colour file ends in its middle", truncated(COLOR), "unreadable-color"),
    of_file("truncated mask", "a mask ends in its middle", truncated(MASK), "unreadable-mask"),
    of_file("truncated pose", "a pose ends in its middle", truncated(POSE), "pose-malformed"),
    of_file("wrong byte order", "both bytes of each depth have changed places",
            damage.changed("depth", np.ndarray.byteswap), "depth-byte-order"),
    of_file("depth as a picture", "depth of a frame has 8 bit",
            damage.changed("depth", lambda raw: (raw >> 4).astype(np.uint8)), "depth-type"),
    Fault("wrong unit", "depth of a frame is in steps of 0.2 mm", damage.changed("depth", damage.five_steps),
          "depth-unit", value=5 * WALL_M),
    Fault("wrong unit throughout", "all depth is in steps of 0.2 mm",
          damage.every_frame(damage.changed("depth", damage.five_steps)),
          "depth-unit", shift=None, every=True, lost=12, code=4, value=5 * WALL_M),
    Fault("wrong scale", "depth of a frame is a quarter of what it was",
          damage.changed("depth", damage.quarter_steps), "person-height", stage="foreground", value=TALL_M / 4),
)  # fmt: skip

CALIBRATIONS = (
    of_capture("missing calibration", "the calibration is gone", without(CALIBRATION), "calibration-missing"),
    of_capture("truncated calibration", "the calibration ends in its middle", truncated(CALIBRATION),
               "calibration-malformed"),
    of_capture("extrinsics not rigid", "the way between the cameras stretches by 1.1",
               damage.recalibrated(damage.stretch_extrinsics), "calibration-malformed"),
    of_capture("extrinsics in mm", "the way between the cameras is 1000 times as long",
               damage.recalibrated(damage.extrinsics_in_millimetres), "calibration-malformed"),
    of_capture("intrinsics of another camera", "the depth camera has the colour camera's",
               damage.recalibrated(damage.other_intrinsics), "intrinsics-mismatch"),
    of_file("pose not rigid", "a pose stretches by 1.1", damage.stretch_pose, "pose-not-rigid"),
)  # fmt: skip

PICTURES = (
    Fault("exposure jump", "a frame has a sixth of the light", damage.changed("color", damage.darker),
          "exposure-jump", value=np.log2(6)),
    Fault("saturation", "three quarters of a colour image are white", damage.burn_out, "saturated", value=0.75),
    Fault("darkness", "colour of a frame is black", damage.changed("color", lambda bgr: bgr // 100), "too-dark"),
    of_file("turned colour", "a colour image is turned by a quarter", damage.changed("color", np.rot90),
            "color-size"),
    of_file("turned colour by EXIF", "a colour file is tagged as turned by a quarter", damage.tag_color,
            "color-rotated"),
    Fault("turned camera", "all images of a frame are turned by a quarter, their sizes kept", damage.turn_camera,
          "person-sideways", stage="foreground", value=90),
    Fault("cut person", "depth and mask move down, out of the colour camera's view", damage.cut_person,
          "person-cut", stage="foreground"),
    Fault("too little person", "of the mask 11 x 11 px are left", damage.hide_person,
          "too-little-foreground", stage="foreground", value=11**2 * VIEW_PX_PER_DEPTH_PX**2),
    Fault("no person", "the mask is empty", damage.changed("mask", np.zeros_like),
          "empty-foreground", stage="foreground", value=0),
)  # fmt: skip

UNSEEN = (
    Fault("swapped frames", "two neighbours have each other's files, poses among them",
          damage.exchange(*damage.STREAMS), None, lost=0),
    Fault("swapped depth", "two neighbours have each other's depth", damage.exchange("depth"), None, lost=0),
    Fault("short depth", "all depth is a tenth less", damage.every_frame(damage.changed("depth", damage.shorter)),
          None, lost=0),
    Fault("inverted extrinsics", "the way between the cameras is the one back",
          damage.recalibrated(damage.turn_extrinsics), None, lost=0),
)  # fmt: skip

KINECT2 = (*STREAMS, *FILES, *CALIBRATIONS, *PICTURES, *UNSEEN)
