"""Evidence of each guest against its hosts, frame by frame, and what the optics can tell.

``evidence.measure_frame`` measures one frame, ``optics.judge_optics`` says what the recording can separate,
``markers.measure_death`` gives a death signal to the cell whose body it fills.
"""
