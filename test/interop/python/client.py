"""A workload written against py-spiffe: prints one JSON object per answer, so that a test can compare.

client.py x509 | jwt AUDIENCE | validate AUDIENCE TOKEN | bundles | watch SECONDS
"""

import json
import sys
import time

from spiffe import WorkloadApiClient, X509Source


def show(value):
    print(json.dumps(value), flush=True)


def describe(context):
    return {
        "svids": [{"id": str(svid.spiffe_id), "serial": format(svid.leaf.serial_number, "x")} for svid in context.x509_svids],
        "bundles": {str(name): len(bundle.x509_authorities) for name, bundle in bundles_of(context)},
    }


def bundles_of(context):
    return [(bundle.trust_domain.name, bundle) for bundle in context.x509_bundle_set.bundles]


def watch(client, seconds):
    handle = client.stream_x509_contexts(
        lambda context: show(describe(context)), lambda error: show({"watchError": str(error)})
    )
    time.sleep(seconds)
    handle.cancel()


def source():
    with X509Source() as held:
        show({"id": str(held.svid.spiffe_id)})


def main(verb, *args):
    with WorkloadApiClient() as client:
        if verb == "x509":
            show(describe(client.fetch_x509_context()))
        elif verb == "source":
            source()
        elif verb == "jwt":
            svid = client.fetch_jwt_svid(audience={args[0]})
            show({"id": str(svid.spiffe_id), "token": svid.token, "audience": sorted(svid.audience)})
        elif verb == "validate":
            svid = client.validate_jwt_svid(token=args[1], audience=args[0])
            show({"id": str(svid.spiffe_id), "audience": sorted(svid.audience)})
        elif verb == "bundles":
            show({bundle.trust_domain.name: len(bundle.jwt_authorities) for bundle in client.fetch_jwt_bundles().bundles})
        elif verb == "watch":
            watch(client, float(args[0]))
        else:
            raise SystemExit(f"unknown verb {verb}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # every failure is an answer that the test compares
        show({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)
