"""Bodies: models of people, their joints, parts and surface charts."""
