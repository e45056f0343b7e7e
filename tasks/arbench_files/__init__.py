"""The user's own data: tables, images, recordings, and music."""

from __future__ import annotations

from arbench import TaskEntry

arbench_entries = [
    TaskEntry(
        name="table",
        task="arbench_files.tables:TableTask",
        summary="your own table of categories and numbers: csv, npz or parquet",
        argument="PATH[?category=NAMES][?real=NAMES][?split=rows|files]",
    ),
    TaskEntry(
        name="images",
        task="arbench_files.images:ImagesTask",
        summary="your own images, npz or a folder of files",
        argument="PATH[?split=rows|files]",
    ),
    TaskEntry(
        name="audio",
        task="arbench_files.audio:AudioTask",
        summary="your own recordings, a folder of wav or flac files",
        argument="PATH[?split=rows|files]",
    ),
    TaskEntry(
        name="midi",
        task="arbench_files.midi:MidiTask",
        summary="your own music, a folder of MIDI files",
        argument="PATH[?steps=N][?split=rows|files]",
    ),
]
