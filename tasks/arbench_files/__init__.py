"""The user's own data: tables, images, recordings, music, and words."""

from __future__ import annotations

from arbench import TaskEntry

arbench_entries = [
    TaskEntry(
        name="table",
        task="arbench_files.tables:TableTask",
        summary="your own table of categories and numbers: csv, npz or parquet",
        argument="PATH[?category=NAMES][?real=NAMES][?split=rows|files][?test=PATH]",
    ),
    TaskEntry(
        name="images",
        task="arbench_files.images:ImagesTask",
        summary="your own images, npz or a folder of files",
        argument="PATH[?threshold=N][?draw][?split=rows|files][?test=PATH]",
    ),
    TaskEntry(
        name="audio",
        task="arbench_files.audio:AudioTask",
        summary="your own recordings, a folder of wav or flac files",
        argument="PATH[?split=rows|files][?test=PATH]",
    ),
    TaskEntry(
        name="midi",
        task="arbench_files.midi:MidiTask",
        summary="your own music, a folder of MIDI files",
        argument="PATH[?steps=N][?split=rows|files][?test=PATH]",
    ),
    TaskEntry(
        name="words",
        task="arbench_files.words:WordsTask",
        summary="your own words, such as names, one a line",
        argument="PATH[?lower][?split=rows|files][?test=PATH]",
    ),
]
