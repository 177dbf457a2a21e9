"""Compares the spans that others have read with the report in the example's file. See .ci/otlp."""

import gzip
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

EXAMPLE, AGENT = sys.argv[1:]
KINDS = {1: "SPAN_KIND_INTERNAL", 2: "SPAN_KIND_SERVER"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def send(settings):
    """Runs the example. Returns its report."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "kept.jsonl")
        settings = {**os.environ, **settings, "OTEL_RESOURCE_ATTRIBUTES": "host.name=a%20b"}
        ran = subprocess.run([EXAMPLE, file], env=settings, check=True, capture_output=True, text=True)
        assert ran.stdout.count("1 taken, 0 lost") == 2, ran.stdout
        with open(file, encoding="utf-8") as lines:
            return json.loads(lines.readline())


def expected(report):
    """Returns the spans of a report: id, parent, name, kind, status, times, some attributes, events."""

    def counts(of, prefix="heap."):
        return {
            prefix + "allocations": of["allocations"] + of["reallocations"],
            prefix + "bytes": of["bytes_allocated"],
        }

    start = report["started_unix_ns"]
    request = report["request"]
    spans = [{
        "id": report["span_id"],
        "parent": "",
        "name": request["name"],
        "kind": KINDS[2],
        "error": request["message"],
        "start": start,
        "end": start + request["wall_ns"],
        "attributes": {
            "tracer.kept": True,
            "tracer.reason": request["reasons"],
            "tracer.request_id": request["id"],
            **request["labels"],
            **counts(report["total"]),
            "heap.net_bytes": report.get("net_bytes", 0),
        },
        "events": [],
    }]
    for place, call in enumerate(report["calls"]):
        parent = call.get("parent")
        end = start + call["start_ns"] + call["wall_ns"]
        events = [(it["name"], start + call["start_ns"] + it["at_ns"]) for it in call.get("checkpoints", [])]
        folded = [it for it in report.get("folded", []) if it.get("parent") == place]
        attributes = {
            "code.function.name": call["module"] + "::" + call["name"],
            "code.file.path": call["file"],
            "code.line.number": call["line"],
            "thread.id": call["thread"]["number"],
            "heap.peak_bytes": call["peak_bytes"],
            **counts(call["total"]),
            "heap.net_bytes": call.get("net_bytes", 0),
            **counts(call["self"], "heap.self."),
        }
        if "name" in call["thread"]:
            attributes["thread.name"] = call["thread"]["name"]
        if "id" in call:
            attributes["tracer.call_id"] = call["id"]
        spans.append({
            "id": call["span_id"],
            "parent": report["span_id"] if parent is None else report["calls"][parent]["span_id"],
            "name": call["name"],
            "kind": KINDS[1],
            "error": call.get("message"),
            "start": start + call["start_ns"],
            "end": end,
            "attributes": attributes,
            "events": events + [("folded calls", end)] * len(folded),
        })
    assert any(it["events"] for it in spans) and len(spans) > 5, spans
    return spans


def compare(way, report, resource, spans):
    assert resource["service.name"] == "orders" and resource["host.name"] == "a b", resource
    wanted = expected(report)
    assert len(spans) == len(wanted), f"{way}: {len(spans)} spans, expected {len(wanted)}"
    for span, want in zip(spans, wanted):
        assert span.pop("trace") == report["trace_id"], (way, span)
        # Those that are not compared are in the tests of the crate.
        all_attributes = span["attributes"]
        span["attributes"] = {key: all_attributes.get(key) for key in want["attributes"]}
        assert span == want, f"{way}:\n{span}\nexpected\n{want}"
    print(f"{way}: {len(spans)} spans")


def value_of(text):
    """Reads a value as rotel prints it."""
    kind, inner = re.fullmatch(r"(\w+)\((.*)\)", text, re.DOTALL).groups()
    if kind == "Int":
        return int(inner)
    if kind == "Bool":
        return inner == "true"
    if kind == "Slice":
        return [value_of(it) for it in inner.split(", ")]
    return inner


def shown(output):
    """Reads what rotel prints: the resource's attributes, and the spans."""
    output = re.sub(r"\x1b\[[0-9;]*m", "", output)
    head, *parts = re.split(r"^Span #\d+\n", output, flags=re.MULTILINE)
    pairs = lambda text: {k: value_of(v) for k, v in re.findall(r"^     -> ([^:\s]+): (\w+\(.*\))$", text, re.MULTILINE)}
    spans = []
    for part in parts:
        part, _, events = part.partition("\nEvents:\n")
        field = lambda name: re.search(rf"^ *{name} *: ?(.*)$", part, re.MULTILINE)
        is_error = field("Status code") and field("Status code")[1] == "STATUS_CODE_ERROR"
        spans.append({
            "trace": field("Trace ID")[1],
            "id": field("ID")[1],
            "parent": field("Parent ID")[1].strip(),
            "name": field("Name")[1],
            "kind": field("Kind")[1],
            "error": field("Status message")[1] if is_error else None,
            "start": int(field("Start time")[1]),
            "end": int(field("End time")[1]),
            "attributes": pairs(part),
            "events": [(n, int(t)) for n, t in re.findall(r"-> Name: (.*)\n     -> Timestamp: (\d+)", events)],
        })
    return pairs(head), spans


def through_agent(protocol, compression):
    http_port, grpc_port = free_port(), free_port()
    port = grpc_port if protocol == "grpc" else http_port
    with tempfile.TemporaryDirectory() as folder, open(os.path.join(folder, "out"), "w+", encoding="utf-8") as out:
        agent = subprocess.Popen(
            [AGENT, "start", "--otlp-http-endpoint", f"127.0.0.1:{http_port}",
             "--otlp-grpc-endpoint", f"127.0.0.1:{grpc_port}", "--exporter", "blackhole",
             "--debug-log", "traces", "--debug-log-verbosity", "detailed",
             "--pid-file", os.path.join(folder, "pid")],
            stdout=out, stderr=subprocess.STDOUT)
        try:
            until = time.monotonic() + 30
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    assert agent.poll() is None and time.monotonic() < until, "the agent does not listen"
                    time.sleep(0.02)
            report = send({
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
                "OTEL_EXPORTER_OTLP_COMPRESSION": compression,
            })
            # It prints after it has answered.
            last = expected(report)[-1]["id"]
            while True:
                out.seek(0)
                text = out.read()
                if last in text and text.endswith("\n"):
                    time.sleep(0.2)
                    out.seek(0)
                    text = out.read()
                    break
                assert time.monotonic() < until, text
                time.sleep(0.05)
        finally:
            agent.terminate()
            agent.wait()
    compare(f"rotel, {protocol}, {compression}", report, *shown(text))


def through_decoder():
    bodies = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces" and self.headers["content-encoding"] == "gzip"
            bodies.append(gzip.decompress(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    report = send({
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}/",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    })
    server.shutdown()
    [body] = bodies
    request = ExportTraceServiceRequest.FromString(body)
    assert request.SerializeToString() == body, "it is not as the generated code writes it"

    def value(of):
        kind = of.WhichOneof("value")
        inner = getattr(of, kind)
        return [value(it) for it in inner.values] if kind == "array_value" else inner

    pairs = lambda all: {it.key: value(it.value) for it in all}
    [of_resource] = request.resource_spans
    [of_scope] = of_resource.scope_spans
    spans = [{
        "trace": it.trace_id.hex(),
        "id": it.span_id.hex(),
        "parent": it.parent_span_id.hex(),
        "name": it.name,
        "kind": KINDS[it.kind],
        "error": it.status.message if it.status.code == 2 else None,
        "start": it.start_time_unix_nano,
        "end": it.end_time_unix_nano,
        "attributes": pairs(it.attributes),
        "events": [(event.name, event.time_unix_nano) for event in it.events],
    } for it in of_scope.spans]
    compare("opentelemetry-proto", report, pairs(of_resource.resource.attributes), spans)


through_decoder()
through_agent("http/protobuf", "none")
through_agent("http/json", "none")
through_agent("grpc", "gzip")
