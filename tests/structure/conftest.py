"""The figures as a table at the end of the run."""

import pytest

HEADS = {
    "allocations": "allocations",
    "copied_bytes": "copied / payload byte",
    "calls": "I/O calls",
    "wake_ups": "wake-ups",
    "file_bytes": "written / payload byte",
}
TABLE = pytest.StashKey()


class Table:
    """A row for each work: what was measured for a message, and the most that is allowed."""

    def __init__(self) -> None:
        self.rows = [["per message: measured (most)", *HEADS.values()]]

    def add(self, work: str, figures: dict, limits) -> None:
        self.rows.append([work, *(f"{figures[name]:.3f} ({getattr(limits, name)[1]:g})" for name in HEADS)])

    def lines(self):
        widths = [max(map(len, column)) for column in zip(*self.rows)]
        for row in self.rows:
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()


@pytest.fixture(scope="session")
def structure_table(pytestconfig):
    return pytestconfig.stash.setdefault(TABLE, Table())


def pytest_terminal_summary(terminalreporter, config):
    table = config.stash.get(TABLE, None)
    if table is not None:
        terminalreporter.section("what a message costs")
        for line in table.lines():
            terminalreporter.line(line)
