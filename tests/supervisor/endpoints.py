"""What a monitoring system asks for: the metrics and the probes of a pool."""

import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from tests.support.eventually import PATIENCE_S

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def get(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def scrape(address: str) -> Samples:
    _, text = get(address, "/metrics")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    """The sample with these labels, whatever else it has."""
    for (found, pairs), number in samples.items():
        if found == name and labels.items() <= dict(pairs).items():
            return number
    return None
