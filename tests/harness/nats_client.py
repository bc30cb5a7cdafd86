"""What tests of nats-py clients have in common."""


async def flush(client, timeout=30):
    """Waits until the server has handled everything this client sent so far.

    One round trip of nats-py does not say so: it writes the PING at once, ahead of subscriptions and messages that still
    wait for its flusher, and the PONG may be back before the server has seen them. They are on the wire before that PONG
    is read, though, so that a second one comes after them. With a real nats-server, too, one of a hundred
    subscriptions missed what another client published after a single flush.
    """
    await client.flush(timeout)
    await client.flush(timeout)
