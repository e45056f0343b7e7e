"""Texts, character by character or byte by byte."""

from __future__ import annotations

from arbench import TaskEntry

arbench_entries = [
    TaskEntry(
        name="shakespeare",
        task="arbench_text.shakespeare:Shakespeare",
        summary="plays of Shakespeare, 1,115,394 characters of 65 kinds",
    ),
    TaskEntry(
        name="names",
        task="arbench_text.names:Names",
        summary="32,033 first names, up to 15 letters and an end symbol",
    ),
    TaskEntry(
        name="enwik8",
        task="arbench_text.wikipedia:Enwik8",
        summary="the first 100,000,000 bytes of a dump of the English Wikipedia",
    ),
    TaskEntry(
        name="text8",
        task="arbench_text.wikipedia:Text8",
        summary="100,000,000 lower-case letters and spaces of the English Wikipedia",
    ),
    TaskEntry(
        name="wikitext2-raw",
        task="arbench_text.wikipedia:WikiText2",
        summary="good articles of the English Wikipedia, 13 MB, byte by byte",
    ),
    TaskEntry(
        name="text",
        task="arbench_text.own:OwnText",
        summary="your own text, by characters or, with ?bytes, by bytes",
        argument="PATH[?bytes][?test=PATH]",
    ),
]
