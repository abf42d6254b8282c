"""One file of the conformance suite: a program that its own spawned children run too."""

load("@rules_cc//cc:cc_test.bzl", "cc_test")

def conformance_test(name, size = "small", deps = [], windows = False, tags = [], **kwargs):
    """Builds NAME.cc with what all of the suite's files use.

    Args:
      name: the file's name, without its suffix
      size: as cc_test
      deps: what only this file uses
      windows: whether it also runs there: what it has of POSIX is none
      tags: more of them
      **kwargs: of cc_test
    """
    cc_test(
        name = name,
        size = size,
        srcs = [name + ".cc"],
        tags = ["local"] + tags + (["windows"] if windows else []),
        deps = deps + [
            ":conformance",
            "//base:own_process",
            "//base:signals",
            "//base:status",
            "//base:unique_fd",
            "//bootstrap",
            "//bootstrap:current_process",
            "//bootstrap:exit",
            "//bootstrap:finalizer",
            "//bootstrap:target",
            "//ipc:auth_key",
            "//ipc:connection",
            "//ipc:pipe",
            "//ipc:wait",
            "//launcher",
            "//launcher:context",
            "//launcher:context_test_main",
            "//launcher:process",
            "@com_google_absl//absl/strings",
            "@com_google_googletest//:gtest",
        ],
        **kwargs
    )
