"""Names below `localhost`."""

from scripted_peer import Answer, scripted_peer

from moorage.plugin.transport import HttpClient


def test_name_below_localhost_is_this_machine() -> None:
    """A host below `localhost` is reached on this machine without asking for its address."""
    with scripted_peer() as peer:
        peer.answer(Answer.of({"a": 1}))
        with HttpClient(f"http://123.localhost:{peer.port}") as client:
            client.call("GET", "/x", returns=dict)

        assert peer.arrived[0].headers["host"] == f"123.localhost:{peer.port}"
