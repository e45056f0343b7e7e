"""What proves that a model is right: toys, and the conformance checks that plugin authors run."""

from arbench.testing.suites import conformance as conformance
