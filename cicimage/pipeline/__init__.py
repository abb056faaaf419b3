"""The only place that knows the order of the steps.

``position`` runs them; it is not imported here, so that `cicimage report` does without the image libraries.
"""
