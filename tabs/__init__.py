"""The page's tabs, and what they share: they call the library's public functions, and hold no mathematics."""

from unittest import mock

with mock.patch("inspect.getfile", side_effect=OSError):  # else Gradio spends seconds on writing stubs for editors
    import gradio  # noqa: F401  (its first import)
