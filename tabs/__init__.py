"""The page's tabs, one file each: they call the library's public functions, and hold no mathematics."""
