"""Raw captures: one reader a format behind the one `Capture` protocol."""
