# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders meshes and simulates cloth in Blender; runs only as a process of its own.

`python -m renderers.blender_worker JOB_FOLDER PARENT_PID THREADS`

This one package is GPL-3.0-or-later because it imports bpy, which is. Nothing outside imports it, and it
imports nothing of the project but itself: the border to the Apache-2.0 rest is a process, a folder of .npy
files and lines of text.

Requests come on stdin, a line `JOB SCENE INDEX` each, answered on stdout by the same line once
`JOB_FOLDER/SCENE/INDEX.npy` is written; end of file on stdin ends the process. The job is `geometry`, `color`
or `cloth`; the module of that name says what the scene's folder must hold and what the answer is.
"""
