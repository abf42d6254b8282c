"""Which tests `tools/test windows` runs: those with the tag "windows"."""

# The tags of a test that only a Windows can build. `//...` leaves it out ("manual"), so that it is nobody's skipped test.
WINDOWS_ONLY = [
    "manual",
    "windows",
]
