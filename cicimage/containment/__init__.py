"""Evidence of each guest against its hosts, frame by frame, and what the optics can tell.

:func:`cicimage.containment.evidence.measure_frame` measures one frame, :func:`cicimage.containment.optics.judge_optics`
says what the recording can separate, :func:`cicimage.containment.markers.measure_markers` gives a death signal to the
cell whose body it fills.
"""
