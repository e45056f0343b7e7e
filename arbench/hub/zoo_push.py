"""Pushes the whole zoo, the boards and their page to the Hub, and goes on where it was cut off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from arbench.errors import ArbenchError
from arbench.hub.client import Hub
from arbench.hub.push import Parcel, Pushed, repository_of, run_parcel, send, space_parcel
from arbench.hub.remote_board import board_parcel, push_board
from arbench.runs.zoo import zoo_index
from arbench.show.reporting import Reporter


def zoo_parcels(
    namespace: str,
    find: Callable[[str], Path],
    *,
    board: str | None = None,
    space: str | None = None,
    license: str | None = None,
) -> list[Parcel]:
    """What `push_zoo` puts where, in its order: the board, the models, the page. Asks no Hub.

    Args:
        namespace: a user or an organisation; `mnist/nade` goes to its `mnist-nade`.
        find: the folder of a zoo entry by its name.
        board: "org/name" of the data set of all results; a model then has the file that puts it on
            the Hub's own leaderboard of that board.
        space: "org/name" of the Space with the page of all boards.
        license: of the weights, as the Hub writes it.

    Raises:
        ConfigError: if a name is invalid, or an entry may be on no board.
        CheckpointError: if an entry is damaged.
    """
    parcels = [] if board is None else [board_parcel(board)]  # first: a model's file names its task
    for name in zoo_index():
        repository = repository_of(namespace, *name.split("/"))
        parcels.append(run_parcel(find(name), repository, board=board, license=license))
    return parcels if space is None else [*parcels, space_parcel(space)]


def push_zoo(
    parcels: list[Parcel], reporter: Reporter, *, private: bool = False, overwrite: bool = False
) -> list[Pushed]:
    """Put everything onto the Hub, a commit for each repository.

    A push that was cut off is made again: what is complete gets no second commit, and what was
    uploaded is not uploaded again.

    Args:
        parcels: `zoo_parcels`.
        reporter: receives progress, by bytes.
        private: make new repositories private.
        overwrite: also replace files that arbench did not write.

    Raises:
        ConfigError: if a repository holds what arbench did not write.
        NetworkError: if the Hub does not take something, or the user may not push somewhere; that
            is found out before anything is pushed. The line says how far it came.
    """
    for namespace in dict.fromkeys(parcel.repo.namespace for parcel in parcels):
        Hub().check_access(namespace)
    pushed: list[Pushed] = []
    total, done = sum(parcel.size for parcel in parcels), 0
    with reporter.bar("pushing") as advance:
        for parcel in parcels:
            advance(done / total, f"{parcel.repo}, {len(pushed)} of {len(parcels)} complete")
            try:
                if parcel.repo.kind == "dataset":  # others may have results there, too
                    at = push_board(parcel.repo.name, private=private, overwrite=overwrite)
                else:
                    at = send(parcel, private=private, overwrite=overwrite)
            except ArbenchError as error:
                error.args = (
                    f"{error}. {len(pushed)} of {len(parcels)} repositories are complete: the same "
                    "command goes on with the others",
                )
                raise
            pushed.append(at)
            done += parcel.size
        advance(1.0, f"{len(pushed)} of {len(parcels)} complete")
    return pushed
