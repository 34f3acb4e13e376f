"""Measurements are kept by processor and group, the latest of each."""

from benchmarks.kept import BEGIN, END, PAGE, keep


def test_a_section_a_processor_and_the_latest_of_each_group(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Speed\n\n{BEGIN}{END}\n## Below\n")
    keep({"style": "| old |"}, {"processor": "B (avx2)", "date": "2026-01-01"}, page)
    keep({"style": "| two |", "memory": "| three |"}, {"processor": "A", "date": "2026-01-02"}, page)
    keep({"style": "| new |\n\n| more |\n"}, {"processor": "B (avx2)", "date": "2026-01-03"}, page)
    once = page.read_text()
    assert (
        once
        == f"""# Speed

{BEGIN}
### A

<!-- kept: A | memory -->
memory: date 2026-01-02

| three |

<!-- kept: A | style -->
style: date 2026-01-02

| two |


### B (avx2)

<!-- kept: B (avx2) | style -->
style: date 2026-01-03

| new |

| more |

{END}
## Below
"""
    )
    keep({"style": "| two |"}, {"processor": "A", "date": "2026-01-02"}, page)
    assert page.read_text() == once


def test_the_page_has_a_place_for_them():
    assert PAGE.read_text().count(BEGIN) == PAGE.read_text().count(END) == 1
