"""`make bench`: Circular's figures beside references measured in the same run, on the same machine and data.

Absolute figures drift with the machine; the ratios are what counts. Floors and aims are those of the design's
performance page; a missed floor is printed as such, it fails nothing.
"""
