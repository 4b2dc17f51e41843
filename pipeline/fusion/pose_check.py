"""(scratch stand-in, to be replaced)"""


def check_pose_direction(views, *, depth_min_m, depth_max_m):
    return None
