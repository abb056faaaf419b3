"""Whether a position's recording is the one that its results were made from."""

from __future__ import annotations

from cicimage.pipeline.input_record import InputRecord, compare, looks_unchanged, observe
from cicimage.pipeline.job import Job, members_of


def same_input(job: Job, record: InputRecord | None, *, verify: bool = False) -> InputRecord | None:
    """Look whether a recording is the same as before; only another content makes it another one.

    Parameters
    ----------
    job : Job
        The position.
    record : InputRecord or None
        As the position's results keep it.
    verify : bool
        Compare the content of files, too, of which size and time are the same.

    Returns
    -------
    InputRecord or None
        The record, with sizes and times of now; None where there is no record or the content is another.

    Raises
    ------
    RecordingError
        The recording is not sound, or a file of it changes meanwhile.
    """
    path = job.position.path
    if record is None or (not verify and looks_unchanged(record, path)):
        return record
    with job.open() as recording:
        now = observe(path, members_of(job, recording), record.identity)
    return compare(record, now, path, every=verify)
