"""Body models fitted to 2D landmarks, depth and silhouettes: pose, shape and metric place in the true camera."""
