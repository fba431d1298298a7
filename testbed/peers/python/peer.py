"""A component and a client of components on Python's gRPC library, for tests: see ../README.md."""

import argparse
import asyncio
import sys

import check
import serve


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["serve", "check"])
    parser.add_argument("--socket", required=True, help="the component's socket")
    parser.add_argument("--instance", default="peer", help="the instance, as metadata.name of a resource says")
    parser.add_argument("--metadata", action="append", default=[], metavar="KEY=VALUE", help="an entry of spec.metadata; may be repeated")
    parser.add_argument("--blocks", default="", help="the building blocks to check: state,pubsub,binding,secret")
    arguments = parser.parse_args()
    if arguments.verb == "serve":
        asyncio.run(serve.serve(arguments.socket))
        return 0
    metadata = dict(entry.split("=", 1) for entry in arguments.metadata)
    return check.check(arguments.socket, arguments.instance, metadata, arguments.blocks.split(","))


if __name__ == "__main__":
    sys.exit(main())
