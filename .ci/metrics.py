"""Parses files of OpenMetrics text, and compares them with what their tests expect."""

import json
import sys
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families


def check(text: Path) -> None:
    expected = json.loads(text.with_suffix(".json").read_text(encoding="utf-8"))
    # Bytes first: reading as text would change line ends.
    content = text.read_bytes().decode("utf-8")
    families = {it.name: it for it in text_string_to_metric_families(content)}

    requests = families["tracer_requests"].samples
    routes = {sample.labels["route"] for sample in requests}
    assert routes == set(expected["routes"]), (routes, expected["routes"])
    for name, kind, unit in [
        ("tracer_requests", "counter", ""),
        ("tracer_requests_in_flight", "gauge", ""),
        ("tracer_request_duration_seconds", "histogram", "seconds"),
        ("tracer_request_allocations", "histogram", ""),
        ("tracer_request_allocated_bytes", "histogram", "bytes"),
        ("tracer_process_allocations", "counter", ""),
        ("tracer_process_allocated_bytes", "counter", "bytes"),
        ("tracer_process_live_bytes", "gauge", "bytes"),
    ]:
        family = families[name]
        assert (family.type, family.unit) == (kind, unit), family

    first = expected["routes"][0]
    for outcome, count in expected.get("outcomes", {}).items():
        labels = {"route": first, "outcome": outcome}
        found = [sample.value for sample in requests if sample.labels == labels]
        assert found == [count], (labels, found)
    if "trace_ids" in expected:
        times = families["tracer_request_duration_seconds"].samples
        named = [sample.exemplar for sample in times if sample.exemplar]
        assert named, "no exemplar"
        for exemplar in named:
            assert exemplar.labels["trace_id"] in expected["trace_ids"], exemplar
            assert exemplar.timestamp is not None, exemplar
    print(f"{text.name}: {len(families)} families, {len(routes)} routes")


if __name__ == "__main__":
    assert len(sys.argv) > 1, "no files"
    for path in sys.argv[1:]:
        check(Path(path))
