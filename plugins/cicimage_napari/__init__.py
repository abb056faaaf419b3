"""The napari plugin: thin widgets over :mod:`cicimage.review`; no science and no table of its own."""
