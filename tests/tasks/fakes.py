"""Stand-ins for a task's neighbours, where the test is about the task alone."""

from agent.model import Result, json_text


class FakeParcel:
    """A result on its way, held in memory."""

    def __init__(
        self,
        result: Result,
        *,
        stdout=(),
        stderr=(),
        command_id="c1",
        correlation_id=None,
        session_id=None,
        executed_at: float | None = 1_700_000_000.0,
    ):
        self.command_id = command_id
        self.result = result
        self.correlation_id = correlation_id
        self.session_id = session_id
        self.executed_at = executed_at
        self._texts = {"stdout": stdout, "stderr": stderr}
        self.read = 0

    def json_bytes(self, stream):
        return sum(len(json_text(text)) for text in self._texts[stream])

    async def pieces(self, stream):
        for text in self._texts[stream]:
            self.read += 1
            yield text


class Chance:
    """Draws that a test has chosen."""

    def __init__(self, value=0.5):
        self.value = value

    def __call__(self):
        return self.value
