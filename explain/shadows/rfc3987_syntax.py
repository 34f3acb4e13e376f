"""Stands before the package of this name while Ray starts, and is not there for whoever imports it.

Jupyter brings that package, and jsonschema, which each of Ray's processes imports, uses it where it can. Its
import builds a parser, which takes 2.7 s. Ray checks no addresses of the kind it is for.
"""

raise ImportError("not for Ray")
