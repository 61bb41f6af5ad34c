"""The feeder of the embedded broker: a process of its own that publishes an archive into a fresh topic.

python -m reactor.feed.feeder ARCHIVE BOOTSTRAP TOPIC SPEED PACED_FROM
"""

import sys
from pathlib import Path

from reactor.feed.publish import fill
from reactor.log.outlet import KafkaWriter
from reactor.run.settings import pace


def main(archive: str, bootstrap: str, topic: str, speed: str, paced_from: str) -> None:
    """Publish every line; the process ends when the broker has them all."""
    writer = KafkaWriter(bootstrap, topic, f"{topic}-feed")
    fill(Path(archive), writer, [[]], pace=pace(speed), paced_from=int(paced_from))


if __name__ == "__main__":
    main(*sys.argv[1:])
