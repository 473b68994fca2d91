"""What the API accepts: docs/openapi.yaml, so that an agent that drifts from it is told."""

from demo import schema


def poll_problems(body: object) -> list[str]:
    """What is wrong with a body for `POST /agent/results`; nothing if it is right."""
    found = schema.problems("PollResult", body)
    if found or not isinstance(body, dict):
        return found
    result = body["result"]
    if result["success"] != (result["exit_code"] == 0):
        return [f"result.exit_code: {result['exit_code']} contradicts success: {result['success']}"]
    return []


def stream_problems(body: object) -> list[str]:
    """What is wrong with a flat body for `POST /executor/results`."""
    return schema.problems("StreamResult", body)


def capability_problems(body: object) -> list[str]:
    """What is wrong with a body for `POST /executor/capabilities`."""
    return schema.problems("Capabilities", body)
