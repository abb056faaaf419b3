"""Evidence of each guest against its hosts, frame by frame, and the states that the optics can separate.

:func:`cicimage.containment.evidence.measure_frame` measures one frame, :func:`cicimage.containment.optics.judge_optics`
judges which states the recording can separate, :func:`cicimage.containment.markers.measure_markers` gives a death
signal to the cell whose body it fills.
"""
