"""Recordings of spoken digits, sample by sample."""

from __future__ import annotations

from arbench import TaskEntry

arbench_entries = [
    TaskEntry(
        name="fsdd",
        task="arbench_audio.spoken_digits:SpokenDigits",
        summary="spoken digits, 8 kHz mu-law, 2,400 / 300 / 300 recordings, windows of 2,048",
    ),
    TaskEntry(
        name="sc09",
        task="arbench_audio.speech_commands:SpeechCommandDigits",
        summary="Speech Commands' digits, 16 kHz mu-law, clips of 16,000 samples",
    ),
]
